import os
import subprocess
import sys

import pytest

from unigrpo import machine

CHILD = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from unigrpo.machine import set_threads
{first}
set_threads(None)
import torch
print(torch.get_num_threads())
set_threads(3)
print(torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot tie a process to cores")
@pytest.mark.parametrize("first", ["import torch", "", "import numpy"])
def test_threads_are_the_cores_the_process_may_use_unless_given(first):
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", CHILD.format(first=first)]
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["1", "3"]


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 10**6), ("100000 100000", 1), ("150000 100000", 2)])
def test_a_container_has_the_cores_that_its_limit_on_cpu_time_allows(tmp_path, monkeypatch, limit, cores):
    without = machine.usable_cores()
    (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    assert machine.usable_cores() == min(without, cores)


def test_memory_in_use_is_more_than_none():
    assert 0.05 < machine.usage()["host_gb"] < 100


def test_who_scores_imports_no_torch():
    code = "import sys, actors.scoring; print({'torch', 'transformers', 'pandas'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "set()\n"
