"""Runs that end before their time, and what they are afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.runs import metrics, run, train_args, weights
from unigrpo import checkpoint


def started(args: list[str], until: Path, rows: int = 0) -> subprocess.Popen:
    """A run in a process of its own, which has made a path, and logged some rows if that is its metrics."""
    process = subprocess.Popen([sys.executable, "-m", "unigrpo", *args], stderr=subprocess.PIPE, text=True)
    while not until.exists() or (rows and len(metrics(until.parent)) < rows):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return process


def worker(process: subprocess.Popen, role: str) -> int:
    """The process of a run's first worker of a role, as the run says it."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(rf"Workers run, as process@node:.* {role} (\d+)@", line):
            return int(found[1])
    raise AssertionError("the run has not said where its workers are")


def told_to_end(process: subprocess.Popen, seconds: float | None = None) -> str:
    """What a run says that got SIGTERM, and ended as it should."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=seconds)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def killed(folder: Path, backend: str) -> Path:
    """A run of four steps that is killed after two, and goes on in one process."""
    process = started(train_args(folder, folder / "run", backend), folder / "run/checkpoint-2")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "run/model").exists()
    run([*train_args(folder, folder / "run", "cluster.backend=local"), "--resume"])
    return folder / "run"


def check_stopped(folder: Path, backend: str) -> None:
    """Asserts that a run which is told to end saves, says so, goes on, and ends as one that was not told."""
    long = ("steps=20", "checkpoint.every=20")
    args = train_args(folder, folder / "run", backend, *long)
    said = told_to_end(started(args, folder / "run/metrics.jsonl", rows=2))
    found = checkpoint.latest(folder / "run")
    assert found is not None
    assert said == (
        f"unigrpo: {folder / 'run'} was stopped after step {found[1]['step']} and is saved: "
        "resume=true, or the same pipeline, goes on from there."
    )
    assert not (folder / "run/model").exists()
    run([*args, "--resume"])
    run(train_args(folder, folder / "whole", "cluster.backend=local", *long))
    check_equal(folder / "run", folder / "whole")


def check_equal(one: Path, other: Path) -> None:
    """Asserts that two runs are equal bit for bit."""
    assert metrics(one) == metrics(other)
    assert weights(one) == weights(other)
