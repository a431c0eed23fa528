"""How far the trials of a sweep are: a table that is kept up to date on a terminal, lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from unigrpo.progress import console

PERIOD = 30.0
"""Seconds between lines about what runs where there is no terminal."""
ENDED = 8
"""Trials that have ended which the table shows."""


@dataclass
class Board:
    """The trials that are looked at, by name."""

    metric: str
    total: int
    steps: int
    live: Live | None = None
    running: dict[str, tuple[int, float | None]] = field(default_factory=dict)
    """Step and last value."""
    ended: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    """How, and the last value."""
    said: float = field(default_factory=time.monotonic)

    def begun(self, name: str) -> None:
        """A trial has been given to Ray, which starts it once there is room."""
        self.running[name] = (0, None)
        self._show("")

    def at(self, name: str, step: int, value: float) -> None:
        """A trial has logged its metric."""
        self.running[name] = (step, value)
        self._show("")

    def over(self, name: str, how: str, why: str = "") -> None:
        """A trial has ended."""
        value = self.running.pop(name, (0, None))[1]
        self.ended[name] = (how, value)
        self._show(f"{name}: {how}{_value(self.metric, value)}{f': {why}' if why else ''}")

    def _show(self, line: str) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            if "failed" in line:
                self.live.console.print(line, markup=False, highlight=False)
            return
        now = time.monotonic()
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif now - self.said >= PERIOD and self.running:
            self.said = now
            console.print(self.summary(), markup=False, highlight=False, soft_wrap=True)

    def summary(self) -> str:
        """All of it in one line."""
        parts = [f"{name}{self._far(step)}{_value('', value)}" for name, (step, value) in self.running.items()]
        return f"{len(self.ended)} of {self.total} trials have ended; {', '.join(parts) or 'none runs'}"

    def _far(self, step: int) -> str:
        return f" {step}/{self.steps}" if self.steps else ""

    def _table(self) -> Group:
        table = Table(title=f"{len(self.ended)} of {self.total} trials have ended", title_justify="left")
        for column in ("trial", "state", "step", self.metric):
            table.add_column(column, justify="left" if column in ("trial", "state") else "right")
        for name, (how, value) in list(self.ended.items())[-ENDED:]:
            table.add_row(Text(name), how, "", _value("", value))
        for name, (step, value) in self.running.items():
            table.add_row(Text(name), "running", self._far(step), _value("", value))
        return Group(table)


def _value(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    return f", {metric} {value:.4g}" if metric else f" {value:.4g}"


@contextmanager
def board(metric: str, total: int, steps: int) -> Iterator[Board]:
    """A board that is shown while the block runs."""
    if not console.is_terminal:
        yield Board(metric, total, steps)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield Board(metric, total, steps, live)
