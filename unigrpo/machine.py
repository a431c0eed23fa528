"""What a process may use of its machine, and what it does use. It imports no torch: who scores may need none."""

import os
import sys
from math import ceil, inf
from pathlib import Path

import psutil

GB = 2**30
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much CPU time, of how much time, a container may use."""


def set_threads(threads: int | None) -> None:
    """Gives torch so many threads in this process, by default one for each core it may use.

    Always set, in every process: sums depend on it in the last bit, and Ray gives its workers another default.
    """
    count = threads or usable_cores()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    else:
        os.environ["OMP_NUM_THREADS"] = str(count)  # which torch reads if it is imported later


def usable_cores() -> int:
    """Cores this process may run on: fewer than the machine has by `taskset`, a container's limit, or hyperthreads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    real = psutil.cpu_count(logical=False) or allowed
    return max(1, ceil(min(allowed, real, _quota(QUOTA))))


def _quota(file: Path) -> float:
    """The cores of a container by its limit on CPU time."""
    words = file.read_text().split() if file.exists() else ["max"]
    return inf if words[0] == "max" else int(words[0]) / int(words[1])


def usage() -> dict[str, float]:
    """Memory of this process in GiB: `host_gb` now, and `gpu_gb` at its highest since this was last asked."""
    used = {"host_gb": psutil.Process().memory_info().rss / GB}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        used["gpu_gb"] = torch.cuda.max_memory_allocated() / GB
        torch.cuda.reset_peak_memory_stats()
    return used
