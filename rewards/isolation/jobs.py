"""Calls that wait for a child, and the batches they came in."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.isolation.outcome import Outcome


class Batch:
    """The calls of one `Pool.call`, and what has come of them so far."""

    def __init__(self, calls: Sequence[dict[str, Any] | None]) -> None:
        self.jobs = [Job(batch=self, index=index, arguments=arguments) for index, arguments in enumerate(calls)]
        self.is_over = False
        self._outcomes: dict[int, Outcome] = {}
        self._error: BaseException | None = None
        self._lock = threading.RLock()
        self._done = threading.Event()

    def set(self, index: int, outcome: Outcome) -> None:
        """Keep what came of one call."""
        with self._lock:
            self._outcomes[index] = outcome
            if len(self._outcomes) == len(self.jobs):
                self._done.set()

    def fail(self, error: BaseException) -> None:
        """End the whole batch; the first error is the one that its caller gets."""
        with self._lock:
            self._error = self._error or error
            self.is_over = True
            self._done.set()

    def wait(self) -> list[Outcome]:
        """Return the outcomes in the order of the calls."""
        try:
            self._done.wait()
        finally:  # Also when the caller is interrupted: then nobody wants the rest.
            self.is_over = True
        if self._error is not None:
            raise self._error
        return [self._outcomes[job.index] for job in self.jobs]


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One call of a batch."""

    batch: Batch
    index: int
    arguments: dict[str, Any] | None
    """None asks for a description of the verifier."""


class Jobs:
    """A queue that threads take from, each with a child of its own.

    Starting a child may take seconds, so a thread without one starts it only when there are more jobs than the others
    can take; and it takes none before it has started, as another may be free by then.
    """

    def __init__(self) -> None:
        self.closed: Exception | None = None
        """What is raised for jobs, once there will be no more."""
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._able = 0
        """Threads without a job whose child is there, or on its way."""
        self._bare = 0
        """Threads without a child."""

    def put(self, jobs: Sequence[Job], room: int) -> int:
        """Append jobs, and return how many more threads should come, at most `room`.

        Raises:
            Exception: the one that the queue was closed with.
        """
        with self._changed:
            if self.closed is not None:
                raise self.closed
            self._waiting.extend(jobs)
            self._changed.notify_all()
            more = max(0, min(room, len(self._waiting) - self._able - self._bare))
            self._bare += more
            return more

    def wait(self) -> bool:
        """Wait until there is work for one more child; False says that there never will be."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or len(self._waiting) > self._able)
            self._bare -= 1
            self._able += 1
            return self.closed is None

    def take(self) -> Job | None:
        """Wait for the next job whose batch still matters; None says that there will be none."""
        with self._changed:
            while self._changed.wait_for(lambda: self.closed or self._waiting) and self.closed is None:
                job = self._waiting.popleft()
                if not job.batch.is_over:
                    self._able -= 1
                    return job
            return None

    def finish(self, able: bool) -> None:
        """Say that a thread is done with its job, and whether it has a child."""
        with self._changed:
            self._able += able
            self._bare += not able

    def fail(self, error: Exception) -> None:
        """Fail the batch of the next job, in the name of a thread whose child could not start."""
        with self._changed:
            self._able -= 1
            self._bare += 1
            if self._waiting:
                self._waiting.popleft().batch.fail(error)

    def close(self, error: Exception) -> None:
        """Fail what waits and what is put later, and let all threads go."""
        with self._changed:
            self.closed = error
            for job in self._waiting:
                job.batch.fail(error)
            self._waiting.clear()
            self._changed.notify_all()
