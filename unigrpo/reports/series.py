"""The metrics of a run as points by name."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from unigrpo.report import Points

Series = dict[str, Points]
MOST = 600
"""Points of a line above which it is thinned out; more cannot be told apart at the width of a panel."""
MEASURED = ("eval/", "held_out/", "sft/held_out")
"""Beginnings of metrics that are measured now and then, on the same data."""
SHARES = (
    *("accuracy", "pass@", "chance", "truncated", "failed", "codes_used", "stderr", "zero_std", "clip_fraction"),
    *("cache_outside", "cache_ess"),
)
"""What is in the name of a metric that is a share."""
MEAN = 5
"""Steps whose mean stands for the first and the last value of what is measured in each step."""
RATES = {"policy/tokens": "speed/tokens_per_second", "sft/samples": "speed/samples_per_second"}
"""What is counted in each step, and what it is called over the time of the step."""


def series(rows: Sequence[Mapping[str, Any]]) -> Series:
    """The points of every metric that is known, by step; of a step that was logged twice, the last value."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        step = row["step"]
        for key, value in row.items():
            if value is not None and key != "step":
                found.setdefault(key, {})[step] = value
    return _speeds({key: _ordered(points) for key, points in found.items()})


def _ordered(points: Mapping[int, float]) -> Points:
    steps = sorted(points)
    return steps, [points[step] for step in steps]


def _speeds(found: Series) -> Series:
    """The series with what is counted by second."""
    seconds = dict(zip(*found["time/step"], strict=True)) if "time/step" in found else {}
    for count, rate in RATES.items():
        points = zip(*found.get(count, ([], [])), strict=True)
        rates = {step: value / seconds[step] for step, value in points if seconds.get(step)}
        if rates:
            found[rate] = _ordered(rates)
    return found


def matching(found: Mapping[str, Any], patterns: Sequence[str]) -> list[str]:
    """The names that fit a pattern, in the order of the patterns."""
    return list(dict.fromkeys(name for pattern in patterns for name in found if fnmatchcase(name, pattern)))


def thinned(points: Points, most: int = MOST) -> Points:
    """At most so many points: the lowest and the highest of each stretch, so that no peak is lost, and both ends."""
    steps, values = points
    if len(steps) <= most:
        return points
    array, kept = np.asarray(values), {0, len(steps) - 1}
    for part in np.array_split(np.arange(len(steps)), (most - 2) // 2):
        kept |= {int(part[array[part].argmin()]), int(part[array[part].argmax()])}
    order = sorted(kept)
    return [steps[at] for at in order], [values[at] for at in order]


def ends(key: str, values: Sequence[float]) -> tuple[float, float]:
    """The first and the last value of a metric; means over a few steps of what is measured in each."""
    width = 1 if key.startswith(MEASURED) else max(1, min(MEAN, len(values) // 4))
    return sum(values[:width]) / width, sum(values[-width:]) / width


def shown(key: str, value: float) -> str:
    """The value of a metric, in percent where it is a share."""
    return f"{value:.1%}" if any(name in key for name in SHARES) else number(value)


def number(value: Any) -> str:
    """A number with four digits, and thousands apart."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
