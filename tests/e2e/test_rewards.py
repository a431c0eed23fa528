"""Whole runs with rewards of every kind a user may write, and runs whose rewards are killed."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.runs import EVAL, TRAIN, metrics, weights
from tests.rewards.judge.conftest import free_port, spawn  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SIX_LINES = '''"""More digits, more reward."""


def digits(response: str, limit: int = 4) -> float:
    """1 where all of `limit` characters are digits."""
    return sum(character.isdigit() for character in response) / limit
'''
CLASS = """
from rewards import Score

class Brief:
    def __init__(self, limit: int):
        self.limit = limit

    def __call__(self, responses):
        return [Score(max(0.0, 1 - len(r) / self.limit), parts={"length": len(r)}) for r in responses]
"""
AWAITED = """
import asyncio

async def patient(response: str, answer: str) -> float | None:
    await asyncio.sleep(0.01)
    return float(response[:1] == answer[:1])
"""
LIMITED = """
def bounded(response: str, answer: str) -> float:
    while response != answer and response.count("1"):
        pass
    return float(response == answer)
"""
PACKAGE = """
from rewards import reward

@reward("shout", tasks=("text",), group=True)
def shout(responses):
    return [float(r == max(responses, key=len)) for r in responses]
"""
KILLED = ["rewards.digits.path=digits.py:digits", "rewards.digits.timeout=30", "cluster.backend=local", "steps=8"]


def installed(folder: Path) -> str:
    """A folder that holds an installed package with an entry point."""
    (folder / "shouting.py").write_text(PACKAGE)
    (info := folder / "shouting-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unigrpo.rewards]\nshout = shouting:shout\n")
    return str(folder)


def start(folder: Path, *settings: str, **env: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "unigrpo", "train", *TRAIN, EVAL, *settings]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, cwd=folder, env=os.environ | env, **pipes)


def finish(process: subprocess.Popen) -> None:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out


@pytest.mark.ray
def test_a_file_a_class_an_awaited_one_one_with_a_limit_and_an_installed_one_in_one_ray_run(tmp_path):
    (tmp_path / "packages").mkdir()
    for name, source in (("digits", SIX_LINES), ("brief", CLASS), ("patient", AWAITED), ("bounded", LIMITED)):
        (tmp_path / f"{name}.py").write_text(source)
    finish(
        start(
            tmp_path,
            "rewards.digits.path=digits.py:digits",
            "rewards.brief={path: brief.py:Brief, args: {limit: 8}, weight: 0.1}",
            "rewards.patient={path: patient.py:patient, requires: [digits]}",
            "rewards.bounded={path: bounded.py:bounded, timeout: 0.3}",
            "rewards.shout.weight=0.1",
            "cluster.reward_workers=2",
            "output=run",
            PYTHONPATH=installed(tmp_path / "packages"),
        )
    )
    steps = [row for row in metrics(tmp_path / "run") if "reward/mean" in row]
    assert len(steps) == 4
    for row in steps:
        assert {"digits", "brief", "brief/length", "patient", "bounded", "shout"} <= {
            name.removeprefix("reward/") for name in row
        }
        assert row["reward/failed"] == 0
        assert row["reward/shout"] > 0
    assert any(row.get("reward/bounded/timeout", 0) > 0 for row in steps)
    times = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(row["time/reward/patient"] > 0 for row in times if "reward/mean" in row)


def test_verifiers_that_are_killed_in_mid_run_change_nothing(tmp_path):
    """Each loss is seen by the run only as a call that is made again."""
    slow = SIX_LINES.replace('"""1 where', '__import__("time").sleep(0.05)\n    """1 where')
    (tmp_path / "digits.py").write_text(slow)
    finish(start(tmp_path, *KILLED, "output=whole"))
    process = start(tmp_path, *KILLED, "output=killed")
    killed, over = set(), threading.Event()

    def kill() -> None:
        while not over.wait(0.4):
            for child in psutil.Process(process.pid).children(recursive=True):
                if "isolation/child.py" in " ".join(child.cmdline()):
                    killed.add(child.pid)
                    child.kill()
                    break

    def hunt() -> None:
        while not over.is_set():
            try:
                kill()
            except psutil.Error:
                time.sleep(0.05)

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
