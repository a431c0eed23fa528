import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve beside other tests
os.environ.setdefault("WANDB_MODE", "offline")

import pytest

MOST_WORKERS = 8
"""Each process of tests holds torch and Ray's client, about 1 GiB."""


@pytest.fixture(autouse=True)
def one_thread():
    """A verb that ran in this process may have taken all cores, and the next test would share them with other tests."""
    import torch  # late, as the process that only hands out tests does without

    torch.set_num_threads(1)


def pytest_xdist_auto_num_workers(config):
    """All cores for the suite or a folder of it; files, and tests by name, start sooner in one process."""
    named = config.option.keyword or any(".py" in word for word in config.args)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if named else min(cores, MOST_WORKERS)


def pytest_xdist_make_scheduler(config, log):
    from tests.lanes import Lanes

    return Lanes(config, log)


def pytest_collection_modifyitems(items):
    """Files with what takes longest come first."""
    weights = {}
    for item in items:
        weight = sum(weight for name, weight in (("ray", 2), ("slow", 1)) if item.get_closest_marker(name))
        weights[item.path] = max(weight, weights.get(item.path, 0))
    items.sort(key=lambda item: -weights[item.path])
