"""Whole runs in other layouts than one process."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.e2e.runs import metrics, run, train_args, weights
from unigrpo.cli.main import main

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
SEPARATE = ["cluster.layout=separate", "cluster.rollout_workers=2", "cluster.reward_workers=2", "cluster.sleep=true"]
ZERO_2 = ["cluster.ranks=2", "cluster.zero=2"]
ZERO_3 = ["cluster.ranks=2", "cluster.zero=3", "cluster.layout=separate", "model.lora.rank=2"]
LOSSES = ("policy/loss", "policy/kl", "policy/logprob", "optim/grad_norm", "reward/mean", "eval/reward")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run in this process."""
    folder = tmp_path_factory.mktemp("whole")
    run(train_args(folder, folder / "run", "cluster.backend=local"))
    return folder / "run"


def test_workers_that_only_sample_and_a_pool_of_scorers_give_the_run_of_one_process_bit_for_bit(whole, tmp_path):
    run(train_args(tmp_path, tmp_path / "run", *SEPARATE))
    assert metrics(tmp_path / "run") == metrics(whole)
    assert weights(tmp_path / "run") == weights(whole)


@pytest.mark.parametrize("layout", [ZERO_2, ZERO_3], ids=["zero 2", "zero 3, separate, lora"])
def test_ranks_give_the_losses_of_one_process_and_go_on_bit_for_bit(whole, tmp_path, layout):
    if "model.lora.rank=2" in layout:
        run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local", "model.lora.rank=2"))
        whole = tmp_path / "whole"
    args = train_args(tmp_path, tmp_path / "run", *layout)
    run(args)
    for ours, theirs in zip(metrics(tmp_path / "run"), metrics(whole), strict=True):
        for name in set(LOSSES) & theirs.keys():
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-6), name
    ended = weights(tmp_path / "run"), metrics(tmp_path / "run")
    for left in ("model", "checkpoint-4"):
        shutil.rmtree(tmp_path / "run" / left)
    run([*args, "--resume"])
    assert (weights(tmp_path / "run"), metrics(tmp_path / "run")) == ended


def test_a_run_goes_on_in_another_layout_and_says_what_differs(whole, tmp_path, capfd):
    run(train_args(tmp_path, tmp_path / "run", *ZERO_2, "steps=2"))
    run([*train_args(tmp_path, tmp_path / "run", "cluster.backend=local"), "--resume"])
    assert "cluster.ranks was 2 and is 1, cluster.zero was 2 and is 0: weights, optimiser" in capfd.readouterr().err
    for ours, theirs in zip(metrics(tmp_path / "run"), metrics(whole), strict=True):
        for name in set(LOSSES) & theirs.keys():
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name


def test_sampling_ahead_uses_weights_that_are_one_batch_old_and_repeats_itself(tmp_path):
    for name in ("one", "other"):
        ahead = [*SEPARATE, "rollout.max_staleness=1", "cluster.rollout_workers=1"]
        run(train_args(tmp_path, tmp_path / name, *ahead))
    rows = [row for row in metrics(tmp_path / "one") if "policy/ratio" in row]
    assert [row["rollout/staleness"] for row in rows] == [0, 1, 1, 1]
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


def test_a_run_that_samples_ahead_ends_at_once_when_it_is_told_to(tmp_path):
    ahead = ["cluster.layout=separate", "rollout.max_staleness=1", "steps=400", "checkpoint.every=400"]
    args = train_args(tmp_path, tmp_path / "run", *ahead, "eval.every=1000")
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", *args], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run/metrics.jsonl").exists() or not metrics(tmp_path / "run")[1:]:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "and is saved" in err.splitlines()[-1]


def victim(run_pid: int, title: str) -> psutil.Process:
    """An actor of one class, of the Ray that a run has started."""
    while True:
        for process in psutil.Process(run_pid).children(recursive=True):
            words = process.cmdline() if process.is_running() and process.status() != "zombie" else []
            if words and words[0].startswith(title):
                return process
        time.sleep(0.05)


@pytest.mark.parametrize(
    "title", ["ray::PolicyWorker", "ray::RewardWorker", pytest.param("ray::ReferenceWorker", marks=pytest.mark.long)]
)
def test_a_run_whose_worker_is_killed_ends_with_the_same_weights(tmp_path, title):
    long = ("steps=30", "checkpoint.every=5", "eval.every=100")
    args = train_args(tmp_path, tmp_path / "run", *long)
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", *args], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run/checkpoint-5").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(victim(process.pid, title).pid, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert ("Going on from the last checkpoint (1 of cluster.max_restarts=3)" in err) == (title == "ray::PolicyWorker")
    run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local", *long))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert [row["step"] for row in metrics(tmp_path / "run")] == [row["step"] for row in metrics(tmp_path / "whole")]


def test_a_cluster_that_is_too_small_is_one_line_with_what_is_needed(tmp_path, capfd):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        small = [f"cluster.address={cluster.address}", "cluster.timeout=2", "cluster.ranks=2", "cluster.zero=1"]
        assert main(train_args(tmp_path, tmp_path / "run", *small)) == 2
    finally:
        cluster.shutdown()
    shown = capfd.readouterr().err
    assert "is too small: the run needs 5 CPU, the cluster has 2" in shown.splitlines()[-1]
    assert "reference" in shown
    assert not (tmp_path / "run").exists()
