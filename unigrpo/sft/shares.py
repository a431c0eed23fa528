"""What each of several processes learns from, so that all of them make the same number of forwards."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from unigrpo.sft.recipe import Samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Lot:
    """Rows of one batch that a process learns from, some in each forward."""

    stream: str
    samples: Samples
    """Of the whole batch."""
    parts: Sequence[slice]
    counts: bool = True
    """False where it only keeps processes in step: it is computed, and changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Share:
    """What one process does of a step."""

    lots: Iterable[Lot]
    forwards: int
    """As many as every other process makes."""
    batches: Mapping[str, int]
    """Batches of each stream in the step, of all processes together."""


class _WhenDue:
    """Lots that are made while they are asked for, each time."""

    def __init__(self, make: Callable[[], Iterator[Lot]]):
        self.make = make

    def __iter__(self) -> Iterator[Lot]:
        return self.make()


def share_out(
    batches: Sequence[tuple[str, int]], take: Callable[[int], Samples], most: int, world: int, codes: int
) -> list[Share]:
    """Shares of some batches for each of `world` processes, which together have every row once.

    Args:
        batches: of each its stream and its size.
        take: gives the samples of one; for one process, when they are due.
        most: rows of one forward.
        codes: those of a picture.
    """
    dealt = _parts([size for _, size in batches], most, world)
    counts = {name: sum(stream == name for stream, _ in batches) for name, _ in batches}
    samples = [take(number) for number in range(len(batches))] if world > 1 else None
    rounds = -(-len(dealt) // world)

    def lots(rank: int) -> Iterator[Lot]:
        mine = dealt[rank::world]
        idle = [dealt[0]] * (rounds - len(mine))
        for counted, parts in ((True, mine), (False, idle)):
            for number, group in groupby(parts, key=lambda part: part[0]):
                rows = [part for _, part in group]
                found = take(number) if samples is None else samples[number].seen_in(rows, codes)
                yield Lot(stream=batches[number][0], samples=found, parts=rows, counts=counted)

    def share(rank: int) -> Share:
        found = _WhenDue(lambda: lots(rank)) if world == 1 else list(lots(rank))
        return Share(lots=found, forwards=rounds, batches=counts)

    return [share(rank) for rank in range(world)]


def _parts(sizes: Sequence[int], most: int, world: int) -> list[tuple[int, slice]]:
    """Rows of one forward each: the number of their batch, and which they are.

    Every `world`-th is one process's. They are as many rows as may be, or fewer, if the process that has the most then
    has less.
    """

    def cut(size: int) -> list[tuple[int, slice]]:
        return [
            (number, slice(at, min(at + size, count)))
            for number, count in enumerate(sizes)
            for at in range(0, count, size)
        ]

    def longest(size: int) -> int:
        rows = [part.stop - part.start for _, part in cut(size)]
        return max(sum(rows[rank::world]) for rank in range(world))

    most = min(most, max(sizes))
    return cut(min(range(most, 0, -1), key=longest) if world > 1 else most)
