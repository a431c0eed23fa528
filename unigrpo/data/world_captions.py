"""What can be asked to be drawn in the embedded world: every caption of each kind, and scenes that satisfy it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import Any

from unigrpo.data.world import CELLS, COLOURS, SHAPES, Scene, Thing

NUMBERS = {1: "a", 2: "two", 3: "three", 4: "four"}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_SIDES = {"left of": ((0, 1), (2, 3)), "above": ((0, 2), (1, 3))}
"""Pairs of neighbouring cells, the first in this relation to the second."""


@dataclass(frozen=True, order=True)
class Group:
    """Equal things: `three green triangles`; a shape or colour that is left open is empty."""

    count: int
    shape: str
    colour: str

    def __str__(self) -> str:
        words = NUMBERS[self.count], self.colour, (self.shape or "shape") + "s" * (self.count > 1)
        return " ".join(filter(None, words))

    def things(self, draw: random.Random) -> list[Thing]:
        """Make the things of the group, each with what is left open decided by chance."""
        return [
            Thing(self.shape or draw.choice(SHAPES), self.colour or draw.choice(list(COLOURS)))
            for _ in range(self.count)
        ]

    @property
    def wanted(self) -> dict[str, Any]:
        """The group as an entry of GenEval's `include`."""
        colour = {"color": self.colour} if self.colour else {}
        return {"class": self.shape or "shape", "count": self.count, **colour}


@dataclass(frozen=True)
class Caption:
    """One or two groups, and nothing else in the picture."""

    groups: tuple[Group, ...]
    place: str = ""
    """The cell of the only group, or how the first stands to the second; empty where that is left open."""

    def __str__(self) -> str:
        if self.place in CELLS:
            return f"{self.groups[0]} in the {self.place}"
        return f" {self.place or 'and'} ".join(map(str, self.groups))

    @property
    def meaning(self) -> str:
        """The same for captions of one meaning, such as `A and B` and `B and A`, or `A above B` and `B below A`."""
        first, *second = self.groups
        if self.place in ("right of", "below"):
            return repr((OPPOSITE[self.place], *second, first))
        return repr((self.place, first, *second) if self.place else tuple(sorted(self.groups)))

    @property
    def include(self) -> list[dict[str, Any]]:
        """What must be seen, in GenEval's layout; a cell is the position `["in", cell]`."""
        if self.place in CELLS:
            return [{**self.groups[0].wanted, "position": ["in", self.place]}]
        if self.place:
            first, second = self.groups
            return [second.wanted, {**first.wanted, "position": [self.place, 0]}]
        return [group.wanted for group in self.groups]

    @property
    def exclude(self) -> list[dict[str, Any]]:
        """What must not be seen: one object more than was asked for, of whatever shape."""
        return [{"class": "object", "count": sum(group.count for group in self.groups) + 1}]

    def scene(self, draw: random.Random) -> Scene:
        """Make a scene that satisfies the caption; what it leaves open is decided by chance."""
        things = [thing for group in self.groups for thing in group.things(draw)]
        if self.place in CELLS:
            cells = (CELLS.index(self.place),)
        elif self.place in _SIDES:
            cells = draw.choice(_SIDES[self.place])
        elif self.place:
            cells = draw.choice(_SIDES[OPPOSITE[self.place]])[::-1]
        else:
            cells = draw.sample(range(len(CELLS)), len(things))
        placed = dict(zip(cells, things, strict=True))
        return Scene((placed.get(0), placed.get(1), placed.get(2), placed.get(3)))


@lru_cache
def captions(kind: str) -> tuple[Caption, ...]:
    """Return every caption of a kind."""
    return tuple(_MAKE[kind]())


def _single() -> Iterator[Caption]:
    """`a red circle`."""
    return (Caption((group,)) for group in _ones())


def _colour() -> Iterator[Caption]:
    """`two blue shapes`."""
    return (Caption((Group(count, "", colour),)) for count, colour in product(NUMBERS, COLOURS))


def _count() -> Iterator[Caption]:
    """`three green triangles`, `three triangles`."""
    return (Caption((Group(*group),)) for group in product((2, 3, 4), SHAPES, ("", *COLOURS)))


def _two() -> Iterator[Caption]:
    """`a circle and two squares`."""
    counts = [(first, second) for first, second in product(NUMBERS, NUMBERS) if first + second <= len(CELLS)]
    for (first, second), (a, b) in product(counts, permutations(SHAPES, 2)):
        yield Caption((Group(first, a, ""), Group(second, b, "")))


def _attribute() -> Iterator[Caption]:
    """`a red circle and a blue square`."""
    return (Caption(pair) for pair in permutations(_ones(), 2))


def _corner() -> Iterator[Caption]:
    """`a red circle in the top left`."""
    return (Caption((group,), cell) for group, cell in product(_ones(), CELLS))


def _position() -> Iterator[Caption]:
    """`a red circle above a blue square`."""
    return (Caption(pair, place) for place, pair in product(OPPOSITE, permutations(_ones(), 2)))


def _ones() -> list[Group]:
    return [Group(1, shape, colour) for shape, colour in product(SHAPES, COLOURS)]


_MAKE = {
    "single": _single,
    "colour": _colour,
    "count": _count,
    "two": _two,
    "attribute": _attribute,
    "corner": _corner,
    "position": _position,
}
