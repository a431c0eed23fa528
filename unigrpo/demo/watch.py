"""Sampling that is looked at while it goes on, and that can be stopped.

The models sample in threads of their own and leave behind how far they are; who looks sees the newest, and what came
between two looks is not waited for.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Event, Thread

import numpy as np
from torch import Tensor

from rollout.jobs import Watch
from unigrpo.errors import UniGRPOError
from unigrpo.types import Rollout

Job = Callable[[Watch], Rollout]
"""Samples one answer, and tells of every step."""
_log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Somebody has pressed stop; raised inside the sampler to end it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """How far one model is."""

    text: np.ndarray | None = None
    """[C] ids, masks included."""
    codes: np.ndarray | None = None
    """[N] ids of image codes, masks included."""
    steps: int = 0
    seconds: float = 0.0
    rollout: Rollout | None = None
    """The answer, when it is there."""
    problem: str | None = None
    """What went wrong."""
    stopped: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.rollout is not None or self.problem is not None or self.stopped


class _Board:
    """The newest of each model, for one who waits for news."""

    def __init__(self, places: int):
        self.shown, self.news, self.changed = [Progress()] * places, 0, Condition()

    def put(self, place: int, **fields) -> None:
        with self.changed:
            self.shown[place] = replace(self.shown[place], **fields)
            self.news += 1
            self.changed.notify_all()

    def after(self, news: int) -> tuple[int, list[Progress]]:
        with self.changed:
            self.changed.wait_for(lambda: self.news > news)
            return self.news, list(self.shown)


def watch(jobs: Sequence[Job], stop: Event, pace: float = 0.0) -> Iterator[list[Progress]]:
    """Runs jobs side by side, and yields how far all are whenever one has made a step; who looks away ends them.

    Args:
        stop: ends all of them before their next step.
        pace: seconds that a step takes at least.
    """
    board = _Board(len(jobs))
    threads = [Thread(target=_run, args=(job, board, place, stop, pace), daemon=True) for place, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    try:
        news, over = 0, not jobs
        while not over:
            news, shown = board.after(news)
            yield shown
            over = all(one.over for one in shown)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _run(job: Job, board: _Board, place: int, stop: Event, pace: float) -> None:
    """Samples one answer; whatever happens, the board hears of it."""
    began, steps = time.monotonic(), 0

    def told(part: str, ids_BC: Tensor) -> None:
        nonlocal steps
        if stop.is_set():
            raise StoppedError
        steps += 1
        seen = {"text" if part == "text" else "codes": ids_BC[0].cpu().numpy().copy()}
        board.put(place, steps=steps, seconds=time.monotonic() - began, **seen)
        stop.wait(max(0.0, began + steps * pace - time.monotonic()))

    try:
        rollout = job(told)
    except StoppedError:
        board.put(place, stopped=True)
    except UniGRPOError as error:
        board.put(place, problem=str(error))
    except Exception:  # whoever looks at the page must not wait for ever; whoever runs it reads the log
        _log.exception("The demo could not sample")
        board.put(place, problem="something went wrong that should not: the terminal that runs the demo says what.")
    else:
        board.put(place, rollout=rollout, seconds=time.monotonic() - began)
