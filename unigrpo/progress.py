"""How far a run is: a bar with an estimate of the time left on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from unigrpo.types import Metrics

SHOWN = ("reward/mean", "eval/accuracy", "sft/loss", "sft/held_out_loss", "policy/kl")
console = Console(stderr=True)
"""All that is printed while a bar is up goes through this, or it would tear the bar."""


class Bar(Protocol):
    """What a loop tells of each step it has made."""

    def update(self, metrics: Metrics, advance: int = 1) -> None:
        """Counts steps and shows their metrics; a metric stays until it has a new value."""
        ...


@contextmanager
def progress(
    title: str, total: int, start: int = 0, show: Sequence[str] = SHOWN, interval: float = 2.0
) -> Iterator[Bar]:
    """Shows progress while the block runs.

    Args:
        start: steps that were made before, in a run that goes on.
        show: the metrics to show, in this order, where a step has them.
        interval: seconds between lines where there is no terminal.
    """
    if not console.is_terminal:
        yield _Lines(title, total, start, show, interval)
        return
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[shown]}"))
    with Progress(TextColumn("{task.description}"), *columns, console=console) as live:
        yield _Live(live, live.add_task(escape(title), total=total, completed=start, shown=""), show)


class _Live:
    def __init__(self, live: Progress, task: TaskID, show: Sequence[str]):
        self.live, self.task, self.show = live, task, show
        self.latest: Metrics = {}

    def update(self, metrics: Metrics, advance: int = 1) -> None:
        self.latest |= metrics
        self.live.update(self.task, advance=advance, shown=describe(self.latest, self.show))


class _Lines:
    def __init__(self, title: str, total: int, start: int, show: Sequence[str], interval: float):
        self.title, self.total, self.start, self.show, self.interval = title, total, start, show, interval
        self.done, self.latest = start, {}
        self.began, self.printed = time.monotonic(), float("-inf")

    def update(self, metrics: Metrics, advance: int = 1) -> None:
        self.latest |= metrics
        self.done += advance
        now = time.monotonic()
        if self.done < self.total and now - self.printed < self.interval:
            return
        self.printed = now
        pace = (now - self.began) / max(1, self.done - self.start)
        left = timedelta(seconds=round(pace * max(0, self.total - self.done)))
        parts = [f"{self.title} {self.done}/{self.total}", describe(self.latest, self.show), f"{left} left"]
        console.print("  ".join(filter(None, parts)), markup=False, highlight=False, soft_wrap=True)


def describe(metrics: Metrics, show: Sequence[str]) -> str:
    """The chosen metrics in one line, in the given order."""
    return "  ".join(f"{name} {metrics[name]:.4g}" for name in show if name in metrics)
