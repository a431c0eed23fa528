import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rewards.isolation.pool import Limits, Pool

VERIFIERS = Path(__file__).with_name("verifiers.py")


@pytest.fixture
def make() -> Iterator[Callable[..., Pool]]:
    """Make a pool for a function of `verifiers.py`, closed at the end of the test."""
    pools = []

    def made(name: str, args: dict | None = None, *, seconds: float = 20.0, memory_gb: float = 2.0, **more) -> Pool:
        pools.append(Pool(f"{VERIFIERS}:{name}", args, limits=Limits(seconds=seconds, memory_gb=memory_gb), **more))
        return pools[-1]

    yield made
    for pool in pools:
        pool.close()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def ends_within(seconds: float, pid: int) -> bool:
    """Whether a process is gone after a while."""
    return eventually(seconds, lambda: not is_running(pid))


def eventually(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()
