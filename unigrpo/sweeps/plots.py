"""Pictures of a sweep: for a metric and an axis the learning curves and the final values, with intervals over seeds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unigrpo.config import AxisSection
from unigrpo.sweeps.points import shown
from unigrpo.sweeps.results import COUNTED, Mode, Outcome
from unigrpo.sweeps.statistics import Estimate, comparable, estimate, within

WIDTH, HEIGHT, DPI = 5.4, 3.9, 150
BINS = 3
"""Parts of a range whose points are drawn as one curve."""
DISCRETE = 10
"""Most values that are drawn as curves of their own."""
LONGEST = 30
"""Most signs of a name in a picture."""
Groups = dict[str, list[Outcome]]


def picture(outcomes: Sequence[Outcome], name: str, axis: AxisSection, metric: str, mode: Mode, out: Path) -> bool:
    """Draws how a metric depends on an axis, over all other axes, as PNG; false where no trial has logged it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [one for one in outcomes if one.state in COUNTED and metric in one.logged]
    if not drawn:
        return False
    found = groups(drawn, name, axis)
    paired_ones = len(found) > 1 and len({one.seed for one in drawn}) > 1
    figure = Figure(figsize=((2 + paired_ones) * WIDTH, HEIGHT), layout="constrained")
    panels = figure.subplots(1, 2 + paired_ones)
    _curves(panels[0], found, metric)
    (_against if _is_numeric(drawn, name) else _beside)(panels[1], drawn, found, name, axis, metric)
    if paired_ones:
        _differences(panels[2], found, axis.key or name, metric, mode)
    for panel in panels:
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=DPI, format="png")
    return True


def groups(outcomes: Sequence[Outcome], name: str, axis: AxisSection) -> Groups:
    """Trials by their choice on an axis, in its order; a range with many values in parts of equal size."""
    values = list({shown(one.point.choices[name]): one.point.choices[name] for one in outcomes}.values())
    if axis.low is None or len(values) <= DISCRETE:
        known = [*axis.overlays, *axis.values]
        order = sorted(values, key=known.index) if known else sorted(values)
        return {shown(v): [one for one in outcomes if shown(one.point.choices[name]) == shown(v)] for v in order}
    parts = np.array_split(np.sort(np.asarray(values, float)), BINS)
    return {
        f"{shown(float(part[0]))} to {shown(float(part[-1]))}": [
            one for one in outcomes if part[0] <= float(one.point.choices[name]) <= part[-1]
        ]
        for part in parts
    }


def bands(found: Groups, metric: str) -> dict[str, dict[int, Estimate]]:
    """Mean and interval within seeds of each group, at each step that all of its trials have."""
    curves = {name: _by_step(trials, metric) for name, trials in found.items()}
    result: dict[str, dict[int, Estimate]] = {name: {} for name in found}
    for step in sorted({step for curve in curves.values() for step in curve}):
        for name, one in within({name: curve[step] for name, curve in curves.items() if step in curve}).items():
            result[name][step] = one
    return result


def _by_step(trials: Sequence[Outcome], metric: str) -> dict[int, dict[int, float]]:
    """At each step that all trials have the value of each seed, the mean over its points."""
    series = [(one.seed, dict(zip(*one.logged[metric], strict=True))) for one in even(trials)]
    steps = set.intersection(*(set(one) for _, one in series))
    seeds = sorted({seed for seed, _ in series})
    return {step: {seed: _mean([one[step] for own, one in series if own == seed]) for seed in seeds} for step in steps}


def finals(trials: Sequence[Outcome], metric: str) -> dict[int, float]:
    """The final value of each seed, the mean over its points."""
    known = even(trials)
    own = {
        seed: [one.final(metric) for one in known if one.seed == seed] for seed in sorted({one.seed for one in known})
    }
    return {seed: _mean([value for value in values if value is not None]) for seed, values in own.items()}


def even(trials: Sequence[Outcome]) -> list[Outcome]:
    """The trials of those seeds that have the most points, as a mean over fewer of them is one of other points."""
    count = Counter(one.seed for one in trials)
    return [one for one in trials if count[one.seed] == max(count.values())]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _curves(panel, found: Groups, metric: str) -> None:
    for index, (name, curve) in enumerate(bands(found, metric).items()):
        steps = list(curve)
        middle = np.array([one.mean for one in curve.values()])
        half = np.array([one.half or 0.0 for one in curve.values()])
        panel.plot(steps, middle, color=_color(index), label=_short(name), linewidth=1.8)
        panel.fill_between(steps, middle - half, middle + half, color=_color(index), alpha=0.12, linewidth=0)
    panel.set_title("Mean; band: 95 %, without what seeds share", loc="left", fontsize=10)
    panel.set_xlabel("Step")
    panel.set_ylabel(metric)
    panel.legend(frameon=False, fontsize=8)
    _bounded(panel, metric, found)


def _bounded(panel, metric: str, found: Groups) -> None:
    """Wide intervals of few seeds shall not hide the curves: the axis follows the values that were logged."""
    every = [value for trials in found.values() for one in trials for value in one.logged[metric][1]]
    low, high = min(every), max(every)
    room = 0.05 * (high - low) or 0.1
    panel.set_ylim(low - room, high + room)


def _beside(panel, _: Sequence[Outcome], found: Groups, name: str, axis: AxisSection, metric: str) -> None:
    """Final values of choices that have no order, a thin line for each seed."""
    values = [finals(trials, metric) for trials in found.values()]
    for seed in sorted({seed for own in values for seed in own}):
        places = [place for place, own in enumerate(values) if seed in own]
        panel.plot(places, [values[place][seed] for place in places], "o-", color="0.7", linewidth=0.8, markersize=3)
    for place, own in enumerate(values):
        _bar(panel, place, estimate(list(own.values())), _color(place))
    _named(panel, list(found), axis.key or name)
    panel.set_title(f"Final {metric}; line: a seed; bar: 95 %", loc="left", fontsize=10)


def _differences(panel, found: Groups, label: str, metric: str, mode: Mode) -> None:
    """Final values less those of the best choice, seed by seed."""
    values = [finals(trials, metric) for trials in found.values()]
    means = comparable(values)
    best = values[means.index((max if mode == "max" else min)(means))]
    for place, own in enumerate(values):
        shared = [own[seed] - best[seed] for seed in own if seed in best]
        panel.plot([place] * len(shared), shared, "o", color="0.7", markersize=3)
        if own is not best:
            _bar(panel, place, estimate(shared), _color(place))
    panel.axhline(0, color="0.5", linewidth=0.8)
    _named(panel, list(found), label)
    panel.set_title("Less the best one's, seed by seed; bar: 95 %", loc="left", fontsize=10)


def _named(panel, names: Sequence[str], label: str) -> None:
    panel.set_xticks(range(len(names)), list(map(_short, names)), rotation=20 if len(names) > 4 else 0, fontsize=8)
    panel.set_xlabel(label)


def _short(name: str) -> str:
    """A name that leaves room for the picture: of a long one both ends, as names often differ there."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}...{name[-LONGEST // 2 :]}"


def _against(panel, outcomes: Sequence[Outcome], _: Groups, name: str, axis: AxisSection, metric: str) -> None:
    """Final values against a number."""
    values = sorted({float(one.point.choices[name]) for one in outcomes})
    means = []
    for value in values:
        own = finals([one for one in outcomes if float(one.point.choices[name]) == value], metric)
        panel.plot([value] * len(own), list(own.values()), "o", color="C0", alpha=0.35, markersize=4)
        means.append(estimate(list(own.values())))
        _bar(panel, value, means[-1], "C0")
    if len(values) <= DISCRETE:
        panel.plot(values, [one.mean for one in means], color="C0", linewidth=1.2)
    if axis.log or _is_geometric(values):
        panel.set_xscale("log")
    panel.set_title(f"Final {metric}; dots: seeds; bar: 95 %", loc="left", fontsize=10)
    panel.set_xlabel(axis.key or name)


def _bar(panel, x: float, found: Estimate | None, color: str) -> None:
    if found is not None:
        panel.errorbar(x, found.mean, yerr=found.half or 0.0, color=color, marker="s", markersize=5, capsize=3)


def _is_numeric(outcomes: Sequence[Outcome], name: str) -> bool:
    choices = [one.point.choices[name] for one in outcomes]
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)


def _is_geometric(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis shows values better: all above 0, over more than a factor of ten."""
    return len(values) > 2 and values[0] > 0 and values[-1] / values[0] > 10


def _color(index: int) -> str:
    return f"C{index % 10}"


def pictures(
    outcomes: Sequence[Outcome], axes: Mapping[str, AxisSection], metrics: Sequence[str], mode: Mode, folder: Path
) -> list[Path]:
    """Draws every metric against every axis; returns the files."""
    wanted = [(metric, name, folder / f"{metric.replace('/', '_')}--{name}.png") for metric in metrics for name in axes]
    return [out for metric, name, out in wanted if picture(outcomes, name, axes[name], metric, mode, out)]
