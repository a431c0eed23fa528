import os
import subprocess
import sys

import pytest

from rollout import colocated

CHILD = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import torch
from rollout.colocated import set_threads
set_threads(None)
print(torch.get_num_threads())
set_threads(3)
print(torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot tie a process to cores")
def test_threads_are_the_cores_the_process_may_use_unless_given():
    out = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["1", "3"]


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 10**6), ("100000 100000", 1), ("150000 100000", 2)])
def test_a_container_has_the_cores_that_its_limit_on_cpu_time_allows(tmp_path, monkeypatch, limit, cores):
    without = colocated.usable_cores()
    (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(colocated, "QUOTA", tmp_path / "cpu.max")
    assert colocated.usable_cores() == min(without, cores)
