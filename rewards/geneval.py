"""What must be seen in a picture, in GenEval's layout, and how much of it is among the objects that were found.

Source: GenEval (arXiv:2310.11513), section 3 and its evaluation script: `include` lists
`{"class", "count", "color"?, "position"?: [relation, index of another entry]}`, `exclude` lists `{"class", "count"}`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unigrpo.errors import RewardError

RELATIONS = ("left of", "right of", "above", "below")
CELLS = ("top left", "top right", "bottom left", "bottom right")
MARGIN = 0.1
"""Share of both objects' sizes that an offset must exceed; GenEval's."""
_CELL_MARGIN = 0.125
"""Share of the picture that an object's centre must be off the middle, to be in a corner."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True)
class Found:
    """An object that was seen in a picture."""

    name: str
    box: Box
    color: str = ""
    score: float = 1.0
    also: tuple[str, ...] = ()
    """Broader classes that it belongs to."""

    @property
    def center(self) -> tuple[float, float]:
        """The middle of its box, x and y."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class Wanted:
    """One entry of `include` or `exclude`."""

    name: str
    count: int
    color: str = ""
    relation: str = ""
    """How it stands to another entry, or `in`."""
    to: int | str = ""
    """The index of that entry, or a corner of the picture."""

    def credit(self, found: Found) -> float:
        """1 for an object of this class and colour, 0.5 for one where only one of the two is right."""
        right = [self.name in (found.name, *found.also), *([found.color == self.color] if self.color else [])]
        return sum(right) / len(right)


Assign = Callable[[Sequence[Wanted], Sequence[Found]], list[list[Found]]]
"""Which objects stand for each entry: at most `count` of them."""


def share(
    include: Sequence[Wanted],
    exclude: Sequence[Wanted],
    found: Sequence[Found],
    assign: Assign,
    size: tuple[int, int],
) -> float:
    """Return the share of what is wanted that is there, 1 exactly when all is and nothing is there that must not be.

    Each wanted object and each position counts as one; an object whose class or colour is wrong counts half, and a
    position only if the objects it is about are right. Each object too many counts as one that is missing, so that
    neither an empty picture nor one full of everything earns much.

    Args:
        size: width and height of the picture.
    """
    objects = assign(include, found)
    earned = sum(wanted.credit(item) for wanted, group in zip(include, objects, strict=True) for item in group)
    total = sum(wanted.count for wanted in include)
    for number, wanted in enumerate(include):
        if wanted.relation:
            total += 1
            earned += _in_place(number, include, objects, size)
    for unwanted in exclude:
        total += max(0, sum(unwanted.credit(item) == 1 for item in found) - unwanted.count + 1)
    return earned / total


def _in_place(
    number: int, include: Sequence[Wanted], objects: Sequence[Sequence[Found]], size: tuple[int, int]
) -> bool:
    wanted, group = include[number], objects[number]
    if not _complete(wanted, group):
        return False
    if isinstance(wanted.to, str):
        return all(cell(item, size) == wanted.to for item in group)
    others = objects[wanted.to]
    return _complete(include[wanted.to], others) and all(
        wanted.relation in relations(item.box, other.box) for item in group for other in others
    )


def _complete(wanted: Wanted, group: Sequence[Found]) -> bool:
    return len(group) == wanted.count and all(wanted.credit(item) == 1 for item in group)


def relations(box: Box, other: Box) -> set[str]:
    """Return how a box stands to another, by their centres; more than one holds on a diagonal.

    An offset counts as far as it exceeds a tenth of both sizes, and if that is over half the distance.
    """
    offsets = []
    for low in (0, 1):
        offset = (box[low] + box[low + 2] - other[low] - other[low + 2]) / 2
        slack = MARGIN * (abs(box[low + 2] - box[low]) + abs(other[low + 2] - other[low]))
        offsets.append((offset, max(abs(offset) - slack, 0.0)))
    (x, far_x), (y, far_y) = offsets
    distance = (x**2 + y**2) ** 0.5
    if max(far_x, far_y) < 1e-3:
        return set()
    sides = {("left of" if x < 0 else "right of"): far_x, ("above" if y < 0 else "below"): far_y}
    return {name for name, far in sides.items() if far / distance > 0.5}


def cell(item: Found, size: tuple[int, int]) -> str:
    """Return the corner of the picture that an object is in; empty when it is too near the middle."""
    x, y = (center / length - 0.5 for center, length in zip(item.center, size, strict=True))
    if min(abs(x), abs(y)) < _CELL_MARGIN:
        return ""
    return f"{'top' if y < 0 else 'bottom'} {'left' if x < 0 else 'right'}"


def read(entries: Sequence[Mapping[str, Any]] | None, column: str) -> list[Wanted]:
    """Return the entries of a column.

    Raises:
        RewardError: one of them is not as GenEval writes them.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str) or (column == "include" and not entries):
        if entries is None and column == "exclude":
            return []
        raise RewardError(f"`{column}` is {entries!r:.80}: give a list of objects with `class` and `count`.")
    return [_entry(entry, number, column, len(entries)) for number, entry in enumerate(entries)]


def _entry(entry: Mapping[str, Any], number: int, column: str, length: int) -> Wanted:
    where = f"entry {number} of `{column}` is {entry!r:.120}"
    if not isinstance(entry, Mapping) or not {"class", "count"} <= entry.keys():
        raise RewardError(f"{where}: give it `class` and `count`.")
    unknown = entry.keys() - {"class", "count", *(("color", "position") if column == "include" else ())}
    if unknown:
        raise RewardError(f"{where}: `{min(unknown)}` means nothing there. Remove it.")
    count = entry["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise RewardError(f"{where}: set `count` to a whole number of 1 or more.")
    relation, to = _position(entry.get("position"), where, number, length)
    return Wanted(str(entry["class"]), count, str(entry.get("color") or ""), relation, to)


def _position(position: Any, where: str, number: int, length: int) -> tuple[str, int | str]:
    if position is None:
        return "", ""
    relation, to = position if isinstance(position, Sequence) and len(position) == 2 else ("", "")
    if relation in RELATIONS and isinstance(to, int) and 0 <= to < length and to != number:
        return relation, to
    if relation == "in" and to in CELLS:
        return relation, to
    raise RewardError(
        f"{where}: `position` is [relation, index of another entry], with one of {', '.join(RELATIONS)}, or "
        f'["in", corner], with one of {", ".join(CELLS)}.'
    )
