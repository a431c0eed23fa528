"""Joining and leaving Ray."""

import subprocess
import sys

import pytest

AFTER_THE_END = """
import actors.connect
import ray

try:
    ray.put(1)
except Exception as error:
    print(ray.is_initialized(), type(error).__name__)
"""


@pytest.mark.slow
def test_a_call_that_comes_after_the_end_of_a_run_starts_no_other_ray():
    done = subprocess.run([sys.executable, "-c", AFTER_THE_END], capture_output=True, text=True)
    assert done.stdout.split()[0] == "False", done
