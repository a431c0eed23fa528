"""Whole runs whose rewards are killed."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.runs import EVAL, TRAIN, metrics, weights
from tests.rewards.judge.conftest import one_free_port, spawn  # noqa: F401

pytestmark = [pytest.mark.slow]
SIX_LINES = '''"""More digits, more reward."""


def digits(response: str, limit: int = 4) -> float:
    """1 where all of `limit` characters are digits."""
    return sum(character.isdigit() for character in response) / limit
'''
SLOW = """import os, time

def digits(response: str, limit: int = 4) -> float:
    with open(os.environ["CALLED"], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.05)
    return sum(character.isdigit() for character in response) / limit
"""
"""The same, slow, and it writes down which process each call was made in."""
KILLED = ["rewards.digits.path=digits.py:digits", "rewards.digits.timeout=30", "cluster.backend=local", "steps=8"]


def start(folder: Path, *settings: str, **env: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "unigrpo", "train", *TRAIN, EVAL, *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, cwd=folder, env=os.environ | env, **pipes)


def finish(process: subprocess.Popen) -> None:
    out, _ = process.communicate()
    assert process.returncode == 0, out


def test_verifiers_that_are_killed_in_mid_run_change_nothing(tmp_path):
    """Each loss is seen by the run only as a call that is made again."""
    (tmp_path / "digits.py").write_text(SLOW)
    finish(start(tmp_path, *KILLED, "output=whole", CALLED=os.devnull))
    called = tmp_path / "called"
    called.touch()
    process = start(tmp_path, *KILLED, "output=killed", CALLED=str(called))
    killed, over = [], threading.Event()

    def hunt() -> None:
        while not over.wait(0.2):
            calls = Counter(map(int, called.read_text().split()))
            # A child's first call may be one that was made again, and no call is made a third time.
            for pid in [pid for pid in calls if calls[pid] > 1 and psutil.pid_exists(pid) and pid not in killed][:1]:
                with suppress(psutil.Error):
                    worker = psutil.Process(pid)
                    guard = worker.parent()
                    assert guard is not None
                    if "isolation/child.py" in " ".join(worker.cmdline()):
                        (worker if len(killed) % 2 else guard).kill()
                        killed.append(pid)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        finish(process)
    finally:
        over.set()
        hunter.join()
    assert len(killed) >= 3
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    assert not [row for row in metrics(tmp_path / "killed") if row.get("reward/failed") or "reward/digits/crash" in row]


def judged(port: int, patience: float) -> list[str]:
    args = (
        f"{{base_url: 'http://127.0.0.1:{port}/v1', model: judge, rubric: 'Say: {{response}}', patience: {patience}, "
    )
    args += "choices: {A: 1, B: 0}}"
    return [
        *("cluster.backend=local", "steps=6", "eval.data=null", f"rewards.judge.args={args}"),
        *("rewards.digits.path=digits.py:digits", "scoring.max_failed_steps=20"),
    ]


def test_a_judge_that_is_killed_and_comes_back_costs_a_run_nothing(tmp_path, free_port, spawn):  # noqa: F811
    (tmp_path / "digits.py").write_text(SIX_LINES)
    kill = spawn(free_port, 0.02)
    finish(start(tmp_path, *judged(free_port, 60), "output=whole"))
    process = start(tmp_path, *judged(free_port, 60), "output=killed")
    assert process.stdout is not None
    while "/6  reward/mean" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    kill()
    time.sleep(2)
    spawn(free_port, 0.02)
    finish(process)
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_judge_that_stays_away_is_counted_and_never_worth_0(tmp_path, free_port, spawn):  # noqa: F811
    (tmp_path / "digits.py").write_text(SIX_LINES)
    kill = spawn(free_port, 0.02)
    process = start(tmp_path, *judged(free_port, 0.2), "output=run")
    assert process.stdout is not None
    while "/6  reward/mean" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    kill()
    finish(process)
    steps = [row for row in metrics(tmp_path / "run") if "reward/failed" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[0]["reward/failed"] == 0
    assert steps[-1]["reward/failed"] == steps[-1]["reward/judge/error"] == 1
    assert "reward/mean" not in steps[-1]
    assert "reward/judge" not in steps[-1]
    assert steps[-1]["reward/digits"] >= 0
