"""A lane: some parts of a data set, one after the other, as a sequence of drafts that can be entered anywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.shards.broken import Skipped
from unigrpo.data.shards.read import read_unit
from unigrpo.data.shards.units import Unit
from unigrpo.errors import DataError

Place = tuple[int, int]
"""Number of a part in its lane, and items of it that are behind us."""


class Maker(Protocol):
    """What makes items of rows."""

    @property
    def section(self) -> DataSection:
        """Where the rows are from."""
        ...

    def expand(self, record: Record) -> list[Record]:
        """The rows that a row stands for."""
        ...

    def prepare(self, record: Record) -> Any:
        """A row's item."""
        ...


@dataclass(frozen=True)
class Item:
    """One row of a lane, and the place behind it."""

    after: Place
    value: Any
    """What the maker made, or a `Skipped`."""


@dataclass
class Lane:
    """Parts that are read in their order; what is behind `start` is found again without making it."""

    maker: Maker
    units: Sequence[Unit]
    start: Place = field(default=(0, 0))

    def __iter__(self) -> Iterator[Item]:
        first, skip = self.start
        for number in range(first, len(self.units)):
            for count, record in enumerate(self._records(self.units[number]), start=1):
                if number > first or count > skip:
                    yield Item((number, count), self._made(record))

    def _made(self, record: Record | DataError) -> Any:
        broken = isinstance(record, DataError)
        return Skipped(str(record), broken=True) if broken else self.maker.prepare(record)

    def _records(self, unit: Unit) -> Iterator[Record | DataError]:
        """The rows of a part. One that is damaged ends in an error, which counts as one broken row."""
        try:
            for record in read_unit(unit, self.maker.section):
                if isinstance(record, DataError):
                    yield record
                    continue
                try:
                    yield from self.maker.expand(record)
                except DataError as error:
                    yield error
        except DataError as error:
            yield error
