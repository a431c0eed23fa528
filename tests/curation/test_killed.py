"""Curation through the command line, killed with `kill -9` and started again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.curation.conftest import read_lines, sums
from tests.curation.server import expected
from tests.ports import free_port

ROWS = sums(60)
WITHIN = 4


def wait_until(true, child: subprocess.Popen) -> None:
    until = time.monotonic() + 300
    while not true():
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.005)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def teacher(tmp_path):
    """Start a teacher in a process of its own, which can be killed; return its process and address."""
    running, port = [], free_port()

    def start(delay: float) -> tuple[subprocess.Popen, str]:
        script = Path(__file__).with_name("server.py")
        command = [sys.executable, str(script), str(port), "tags", str(delay), str(tmp_path / "asked")]
        running.append(subprocess.Popen(command))
        return running[-1], f"http://127.0.0.1:{port}/v1"

    yield start
    for child in running:
        child.kill()
        child.wait()


def test_a_curation_that_is_killed_twice_ends_as_one_that_is_not(tmp_path, teacher, arguments):
    child, url = teacher(0.05)
    settings = arguments(url, ROWS, "samples=4", f"teacher.max_concurrency={WITHIN}", "teacher.patience=20")
    command = [sys.executable, "-m", "unigrpo", "curate", *settings]
    log, asked, data = tmp_path / "out/answers.jsonl", tmp_path / "asked", tmp_path / "out/data.jsonl"

    for share in (60, 120):
        killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda share=share: lines(log) >= share, killed)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    kept_so_far = lines(log)
    assert not data.exists()

    last = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: lines(log) >= kept_so_far + 20, last)
    child.kill()  # now it is the teacher that goes, and comes back
    child.wait()
    teacher(0.0)
    shown, _ = last.communicate()
    assert last.returncode == 0
    whole = data.read_bytes()
    assert len(read_lines(data)) == expected(ROWS, 4)["right"]
    assert "| answers | 240 of 240 |" in shown

    times = Counter(asked.read_text().splitlines())
    assert len(times) == 240
    assert sum(times.values()) <= 240 + 3 * WITHIN  # what was under way when something was killed

    log.unlink()
    data.unlink()
    subprocess.run(command, check=True, capture_output=True)
    assert data.read_bytes() == whole
