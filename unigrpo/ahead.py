"""Sampling ahead: the batches of the next steps are drawn while the learner is at this one."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Drawn = TypeVar("Drawn")
Found = TypeVar("Found")


class Ahead(Generic[Drawn]):
    """Draws the batch of every step, with weights that are exactly `staleness` updates old (fewer in the first steps).

    With staleness 0 all happens when it is asked for. Otherwise a thread of its own draws, one batch after the other,
    so that what is drawn depends on no clock.
    """

    def __init__(self, draw: Callable[[int], Drawn], load: Callable[[Any], None], staleness: int, steps: range):
        """Args:
        draw: makes the batch of a step.
        load: gives whoever draws other weights.
        """
        self.draw, self.load, self.staleness, self.last = draw, load, staleness, steps.stop
        self.next = steps.start
        self.pool = ThreadPoolExecutor(1, "ahead") if staleness else None
        self.waiting: deque[Future[Drawn]] = deque()
        self.weights: Any = None

    def __enter__(self) -> "Ahead[Drawn]":
        for _ in range(self.staleness + 1 if self.pool else 0):
            self._ask(lambda: None)
        return self

    def __exit__(self, *raised: object) -> None:
        if self.pool:
            self.pool.shutdown(wait=not any(raised), cancel_futures=True)

    def get(self) -> Drawn:
        """The batch of the next step."""
        if self.pool:
            return self.waiting.popleft().result()
        self.next += 1
        return self.draw(self.next - 1)

    @property
    def ready(self) -> int:
        """Batches that are drawn and not yet asked for."""
        return sum(future.done() for future in self.waiting)

    def give(self, weights: Any) -> None:
        """Weights after one more update."""
        self.weights = weights
        if self.pool:
            self._ask(lambda: self.load(weights))
        else:
            self.load(weights)

    def run(self, function: Callable[[], Found]) -> Found:
        """What a function that draws gives with the newest weights."""
        if not self.pool:
            return function()
        newest = self.weights

        def with_newest() -> Found:
            if newest is not None:
                self.load(newest)
            return function()

        return self.pool.submit(with_newest).result()

    def _ask(self, load: Callable[[], None]) -> None:
        if self.pool is None or self.next == self.last:
            return
        step = self.next
        self.next += 1

        def drawn() -> Drawn:
            load()
            return self.draw(step)

        self.waiting.append(self.pool.submit(drawn))
