"""Heads of Ray clusters as `scripts/ray/head.sh` starts them, several on one machine."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_ports
from unigrpo.cli.packages import HOME


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def head_script(**env: str) -> Iterator[tuple[int, int, Path]]:
    """A head on ports of its own, by the ports where it is joined and takes jobs, and the folder where it writes."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short, for the paths of sockets are limited
    port, dashboard, agent, client = free_ports(4)
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RAY_TMPDIR": folder, "NUM_CPUS": "4"}
    env |= {"NUM_GPUS": "0", "HEAD_PORT": f"{port}", "DASHBOARD_PORT": f"{dashboard}"}
    more = [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
    # Any ports for workers: of those that Ray has for them, two heads would give out the same.
    more += ["--min-worker-port=0", "--max-worker-port=0"]
    log = Path(folder, "log")
    with log.open("w") as out:
        process = subprocess.Popen([HOME / "scripts/ray/head.sh", *more], env=os.environ | env, stdout=out, stderr=out)
    try:
        until(lambda: "Ray runtime started" in log.read_text())
        yield port, dashboard, Path(folder)
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
