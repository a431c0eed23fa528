"""What trials came to: of each its last and its best value, and of each point means and intervals over its seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unigrpo.errors import DataError
from unigrpo.report import read_metrics
from unigrpo.reports.series import Series, ends, series
from unigrpo.sweeps.points import Point
from unigrpo.sweeps.statistics import Estimate, comparable, estimate, paired

Mode = Literal["max", "min"]
COUNTED = ("done", "stopped")
"""States of trials that tell something of their point."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial, as far as it is."""

    point: Point
    seed: int
    state: str
    """`done`, `stopped` (it fell behind), `cut`, `failed`, or `not run`."""
    folder: Path
    logged: Series = field(default_factory=dict)
    seconds: float = 0.0
    why: str = ""

    @property
    def steps(self) -> int:
        """The last step that was logged."""
        return max((steps[-1] for steps, _ in self.logged.values()), default=0)

    def final(self, metric: str) -> float | None:
        """The last value; of what is measured in each step the mean of the last few."""
        return ends(metric, self.logged[metric][1])[1] if metric in self.logged else None

    def best(self, metric: str, mode: Mode) -> tuple[float, int] | None:
        """The best value, and the step of it."""
        if metric not in self.logged:
            return None
        steps, values = self.logged[metric]
        best = max(values) if mode == "max" else min(values)
        return best, steps[values.index(best)]


def logged(folder: Path) -> Series:
    """What a trial has logged; nothing where it has not begun to."""
    try:
        return series(read_metrics(folder))
    except DataError:
        return {}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A point over its seeds."""

    point: Point
    final: Mapping[str, Estimate | None]
    """By metric."""
    best: Estimate | None
    """Of the metric that decides: the best value of each trial, which is higher than what a run ends with by luck."""
    behind: Estimate | None
    """Difference to the best point, over the seeds of both; None of that point itself, or where they share no seed."""
    is_best: bool
    ahead_of: bool
    """Whether the best point is ahead by more than the interval of the difference."""
    seeds: int
    """Trials that count."""
    stopped: int
    """Of these, those that were ended because they fell behind."""
    failed: int


def summaries(outcomes: Sequence[Outcome], metrics: Sequence[str], mode: Mode) -> list[Summary]:
    """Each point over its seeds, in the order of the points; the first metric decides."""
    points = points_in(outcomes)
    top = winner(outcomes, metrics[0], mode)
    return [
        _summary(point, points[top.name] if top else (), points[point.name], metrics, mode) for point in _each(outcomes)
    ]


def _summary(
    point: Point, top: Sequence[Outcome], own: Sequence[Outcome], metrics: Sequence[str], mode: Mode
) -> Summary:
    counted = [one for one in own if one.state in COUNTED]
    finals = {metric: by_seed(counted, metric) for metric in metrics}
    bests = [found[0] for one in counted if (found := one.best(metrics[0], mode))]
    is_top = bool(top) and top[0].point.name == point.name
    behind = None if is_top else paired(finals[metrics[0]], by_seed(top, metrics[0]))
    sign = 1 if mode == "max" else -1
    return Summary(
        point=point,
        final={metric: estimate(list(found.values())) for metric, found in finals.items()},
        best=estimate(bests),
        behind=behind,
        is_best=is_top,
        ahead_of=behind is not None and behind.half is not None and sign * behind.mean < -behind.half,
        seeds=len(counted),
        stopped=sum(one.state == "stopped" for one in own),
        failed=sum(one.state == "failed" for one in own),
    )


def by_seed(outcomes: Iterable[Outcome], metric: str) -> dict[int, float]:
    """The final values of the trials that count."""
    found = {one.seed: one.final(metric) for one in outcomes if one.state in COUNTED}
    return {seed: value for seed, value in found.items() if value is not None}


def winner(outcomes: Sequence[Outcome], metric: str, mode: Mode) -> Point | None:
    """The point with the best mean over the seeds that all have; of one that failed or was ended early if all did."""
    points = points_in(outcomes)
    finals = {name: found for name, own in points.items() if (found := by_seed(own, metric))}
    for wrong in (("failed", "stopped"), ("stopped",), ()):
        able = {name: own for name, own in finals.items() if all(one.state not in wrong for one in points[name])}
        if able:
            means = dict(zip(able, comparable(list(able.values())), strict=True))
            return points[(max if mode == "max" else min)(means, key=means.__getitem__)][0].point
    return None


def points_in(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The trials of each point."""
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.point.name, []).append(one)
    return found


def _each(outcomes: Iterable[Outcome]) -> list[Point]:
    return list({one.point.name: one.point for one in outcomes}.values())


def verdict(found: Sequence[Summary], metric: str) -> str:
    """Which point is the best by its mean, and from which others that can be told, in a sentence."""
    top = next((one for one in found if one.is_best), None)
    others = [one for one in found if one is not top and one.final.get(metric)]
    if top is None:
        return f"No trial that has ended has {metric}."
    mean, even = top.final[metric], all(one.seeds == top.seeds for one in others)
    among = "" if even else " over the seeds that points share"
    said = f"{top.point.name} has the best mean of {metric}{among}: {with_interval(mean)} over {_seeds(top.seeds)}."
    if not others:
        return said
    open_ones = [one.point.name for one in others if not one.ahead_of]
    if not open_ones:
        return f"{said} It is ahead of every other point by more than the interval of the difference."
    if len(open_ones) == len(others):
        return f"{said} With so few seeds it can be told apart from none of the others."
    return f"{said} It cannot be told apart from {', '.join(open_ones)}."


def with_interval(found: Estimate | None) -> str:
    """A mean and half its interval."""
    if found is None:
        return ""
    return f"{found.mean:.4g}" if found.half is None else f"{found.mean:.4g} ± {found.half:.2g}"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count != 1 else ''}"
