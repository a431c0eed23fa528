"""What of the data is left out: rows that are broken, up to a share, and rows that a filter turns away."""

from collections import Counter
from dataclasses import dataclass, field

from unigrpo.errors import DataError

FIRST = 1000
"""Rows from which on a share is judged before all of them are seen."""
KEPT = 20
"""Messages of broken rows that are kept."""


@dataclass(frozen=True)
class Skipped:
    """A row that gives no example, and why."""

    reason: str
    """Of a broken row, the whole message, which names it; else the filter."""
    broken: bool = False


@dataclass
class Tally:
    """Rows of one data set: how many there were, and what became of those that are not used."""

    name: str
    """The path or source."""
    max_broken: float = 0.0
    key: str = "data."
    seen: int = 0
    broken: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)

    def add(self, item: object) -> None:
        """Count a row.

        Raises:
            DataError: more are broken than may be.
        """
        self.seen += 1
        if not isinstance(item, Skipped):
            return
        if not item.broken:
            self.filtered[item.reason] += 1
            return
        self.broken += 1
        self.messages = [*self.messages, item.reason][-KEPT:]
        if self.max_broken == 0:
            raise DataError(item.reason)
        if self.broken > self.max_broken * max(self.seen, FIRST):
            raise self._too_many()

    def end(self) -> None:
        """Judge the share once all rows are seen.

        Raises:
            DataError: more are broken than may be.
        """
        if self.broken > self.max_broken * self.seen:
            raise self._too_many()

    def _too_many(self) -> DataError:
        return DataError(
            f"{self.name}: {self.broken} of {self.seen} rows are broken, more than {self.key}max_broken="
            f"{self.max_broken:g}. The last one: {self.messages[-1]}"
        )
