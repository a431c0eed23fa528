"""Verifiers in child processes, where what a model wrote can hang, bloat or kill nothing but one call."""

import os
import threading
import weakref
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from rewards.isolation.jobs import Batch, Jobs
from rewards.isolation.outcome import Limits, Outcome
from rewards.isolation.seat import Seat
from rewards.isolation.setup import Setup
from unigrpo.errors import ConfigError, RewardError

MOST = 4
"""Children of a pool for which nobody set `workers`."""
DEFAULT = Limits()


class Pool:
    """Child processes that have loaded one verifier and call it, each call within limits.

    They start when they are needed, and end with `close`, with the pool, or with this process, however that ends.
    """

    def __init__(
        self,
        target: str,
        args: dict[str, Any] | None = None,
        *,
        limits: Limits = DEFAULT,
        workers: int = 0,
        python: str | None = None,
        name: str = "",
    ) -> None:
        """Keep what the children are to load.

        Args:
            target: `package.module:attribute` or `/path/file.py:attribute`, a function, which may be async, or a class.
            args: arguments of the class, or, for a function, of every call.
            workers: children; 0 for one per core, and at most 4.
            python: an interpreter of another environment, from Python 3.8 on. Only the one file that the child runs is
                needed there, and the target.
            name: what messages call it.
        """
        where, _, attribute = target.rpartition(":")
        if not where or not attribute or where == "__main__" or (where.endswith(".py") and not os.path.isabs(where)):
            raise ConfigError(f"{target!r} cannot be isolated: write `package.module:name` or `/path/file.py:name`.")
        if workers < 0:
            raise ConfigError(f"workers of {target} is {workers}: set it to 1 or more, or to 0 for one per core.")
        self._setup = Setup(name=name or target, target=target, args=args or {}, limits=limits, python=python)
        self._workers = workers or min(MOST, _cores())
        self._start()
        _pools.add(self)

    @property
    def restarts(self) -> int:
        """Children lost so far: each that was killed, that ended, or that had grown too large and was replaced."""
        return self._crew.lost

    def call(self, calls: Sequence[dict[str, Any]]) -> list[Outcome]:
        """Call the verifier once with each set of arguments, and return what came of it, in the same order.

        It waits for the last of them. Several threads may call at the same time, and a fork of this process may too.

        Raises:
            RewardError: the verifier cannot be loaded, an argument cannot be sent, or the pool is closed.
        """
        return self._crew.run(Batch(calls)) if calls else []

    def parameters(self) -> list[tuple[str, str, bool]]:
        """Return the parameters of the verifier, or of the object that its class makes.

        Returns:
            Of each its name, the name of its `inspect.Parameter` kind, and whether it has no default.

        Raises:
            RewardError: the verifier cannot be loaded, or is of a kind that does not tell.
        """
        found = self._about["parameters"]
        if found is None:
            raise RewardError(
                f"{self._setup.name}: {self._setup.target} does not tell what it takes: wrap it in a function."
            )
        return [(name, kind, bare) for name, kind, bare in found]

    def makes_object(self) -> bool:
        """Whether the target is a class, which got the settings when its object was built.

        Raises:
            RewardError: the verifier cannot be loaded.
        """
        return self._about["makes_object"]

    @cached_property
    def _about(self) -> dict[str, Any]:
        [outcome] = self._crew.run(Batch([None]))
        return outcome.value

    def close(self) -> None:
        """End the children; calls that are under way in other threads fail."""
        self._crew.close()

    def _start(self) -> None:
        self._crew = _Crew(self._setup, self._workers)
        # It runs when the pool is forgotten, and at the end of the program.
        weakref.finalize(self, self._crew.close)

    def _after_fork(self) -> None:
        self._crew.abandon()
        self._start()


class _Crew:
    """The children of a pool in one process, apart from the pool so that their threads do not keep it alive."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup, self._workers = setup, workers
        self._jobs = Jobs()
        self._seats: list[Seat] = []
        self._lock = threading.RLock()
        self._pid = os.getpid()

    @property
    def lost(self) -> int:
        return sum(seat.lost for seat in self._seats)

    def run(self, batch: Batch) -> list[Outcome]:
        with self._lock:
            for _ in range(self._jobs.put(batch.jobs, self._workers - len(self._seats))):
                self._seats.append(Seat(self._setup, self._jobs, f"{self._setup.name} {len(self._seats)}"))
        return batch.wait()

    def close(self) -> None:
        if self._pid != os.getpid():  # In a fork, where the children are its parent's.
            return
        with self._lock:
            self._jobs.close(RewardError(f"{self._setup.name}: its pool is closed."))
            for seat in self._seats:
                seat.kill()
        for seat in self._seats:
            seat.join(5)

    def abandon(self) -> None:
        for seat in self._seats:
            seat.abandon()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _after_fork() -> None:
    """A fork has none of the threads, and must not speak with its parent's children."""
    for pool in list(_pools):
        pool._after_fork()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
