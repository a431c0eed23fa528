"""Which points of the axes are tried."""

import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unigrpo.config import AxisSection, SweepConfig

LONGEST = 200
"""Bytes of a point's name, which is that of a folder; a file system takes 255, and a sign has up to 4."""
SHORT = 7
"""Signs of a number that is shown with all of its digits."""
Choice = Any
"""A value of an axis: of a setting, or the name of overlays."""


@dataclass(frozen=True)
class Point:
    """One choice on each axis."""

    name: str
    """Names its folder, and tells it from the other points."""
    choices: Mapping[str, Choice]
    """By axis."""


def points_of(config: SweepConfig) -> list[Point]:
    """All points of a grid or of a random search; the same config gives the same ones."""
    if config.search.method == "grid":
        return grid(config.axes)
    return [drawn(config, index) for index in range(config.search.trials or 0)]


def grid(axes: Mapping[str, AxisSection]) -> list[Point]:
    """Every combination of the axes, the last one varying fastest."""
    every = [[(name, choice) for choice in choices(axis)] for name, axis in axes.items()]
    found = [dict(combination) for combination in itertools.product(*every)]
    return [Point(name, one) for name, one in zip(_names(found), found, strict=True)]


def drawn(config: SweepConfig, index: int) -> Point:
    """The point of a random search with this index, which does not depend on how many there are."""
    generator = np.random.default_rng([config.search.seed, index])
    found = {name: _draw(axis, generator.random()) for name, axis in config.axes.items()}
    return Point(numbered(index), found)


def numbered(index: int) -> str:
    """The name of a point that no grid gives one."""
    return f"point-{index:03d}"


def choices(axis: AxisSection) -> list[Choice]:
    """The values of an axis; of a range so many as it has points."""
    if axis.overlays:
        return list(axis.overlays)
    if axis.values:
        return list(axis.values)
    count = axis.points or 0
    spread = [at(axis, index / (count - 1)) for index in range(count)]
    return list(dict.fromkeys(spread))  # whole numbers may coincide


def at(axis: AxisSection, share: float) -> float | int:
    """The value that lies so far into a range, 0 being its low end and 1 its high one."""
    low, high = float(axis.low or 0), float(axis.high or 0)
    if axis.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = {0.0: low, 1.0: high}.get(share, value)  # the ends as they were written
    return round(value) if axis.integer else value


def _draw(axis: AxisSection, share: float) -> Choice:
    """The choice for a uniform draw from [0, 1)."""
    known = [*axis.overlays, *axis.values]
    if known:
        return known[int(share * len(known))]
    if axis.integer and not axis.log:  # each whole number as often as the others, the ends included
        return int(axis.low or 0) + int(share * (int(axis.high or 0) - int(axis.low or 0) + 1))
    return at(axis, share)


def _names(points: Sequence[Mapping[str, Choice]]) -> list[str]:
    """A name for each point, of its choices; one that is taken gets a number, and a long one ends in its hash."""
    found: list[str] = []
    for point in points:
        base = "_".join(f"{axis}-{label(choice)}" for axis, choice in point.items()) or "run"
        if len(base.encode()) > LONGEST:
            base = f"{base[: LONGEST // 5]}-{hashlib.sha256(base.encode()).hexdigest()[:8]}"
        name = base
        count = itertools.count(2)
        while name in found:
            name = f"{base}-{next(count)}"
        found.append(name)
    return found


def label(choice: Choice) -> str:
    """A choice as a part of a file's name."""
    return re.sub(r"[^\w.+-]+", "-", shown(choice)).strip("-.") or "none"


def shown(choice: Choice) -> str:
    """A choice in a table or a picture."""
    if choice is None:
        return "null"
    if isinstance(choice, bool):
        return str(choice).lower()
    if isinstance(choice, Mapping):
        return " ".join(f"{name}={shown(value)}" for name, value in choice.items())
    return _number(choice) if isinstance(choice, float) else str(choice)


def _number(value: float) -> str:
    """Four digits, or all of a short number that has more: 0.9999 and 0.99999 are different rates of an average."""
    text, whole = f"{value:.4g}", repr(value)
    return text if float(text) == value or len(whole) > SHORT else whole


def fits(axes: Mapping[str, AxisSection], found: Mapping[str, Choice]) -> bool:
    """Whether a point that was remembered lies on the axes."""

    def lies(axis: AxisSection, choice: Choice) -> bool:
        known = [*axis.overlays, *axis.values]
        if known:
            return choice in known
        return isinstance(choice, int | float) and float(axis.low or 0) <= choice <= float(axis.high or 0)

    return axes.keys() == found.keys() and all(lies(axis, found[name]) for name, axis in axes.items())


def value_of(axis: AxisSection, choice: Choice) -> tuple[dict[str, Any], list[str]]:
    """The settings and the files that a choice stands for."""
    if axis.overlays:
        return {}, axis.overlays[choice]
    nested: Any = choice
    for key in reversed(str(axis.key).split(".")):
        nested = {key: nested}
    return nested, []
