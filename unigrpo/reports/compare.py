"""Several runs beside each other: their curves in the same panels, their last values, and the settings that differ."""

from collections.abc import Mapping, Sequence

from unigrpo.reports.charts import COLORS, Line, chart
from unigrpo.reports.panels import PANELS, Panel, panels_of
from unigrpo.reports.runs import Run, shown
from unigrpo.reports.series import Series, ends, matching
from unigrpo.reports.series import shown as valued
from unigrpo.reports.told import Chart, Comparison, Differences, Table

TABLE = (
    "eval/*accuracy",
    "eval/*",
    "reward/mean",
    "reward/*/mean",
    "sft/held_out*",
    "sft/loss",
    "held_out/*",
    "clip/*",
)
"""Metrics whose last values are put beside each other."""
FIRST = "Results"
"""The heading of the panels that a page of one run begins with."""


def comparable(runs: Sequence[Run], found: Mapping[str, Series]) -> list[str]:
    """The verbs of which at least two runs have metrics: those are drawn together."""
    verbs = [run.verb for run in runs if run.verb in PANELS and found[run.name]]
    return [verb for verb in dict.fromkeys(verbs) if verbs.count(verb) > 1]


def compare(runs: Sequence[Run], found: Mapping[str, Series]) -> Comparison:
    """What a page says of all runs together.

    Args:
        found: the metrics of each run by its name.
    """
    charts: dict[str, list[Chart]] = {}
    colors = {run.name: at for at, run in enumerate(runs)}
    for verb in comparable(runs, found):
        own = {run.name: found[run.name] for run in runs if run.verb == verb}
        every = {key: () for one in own.values() for key in one}
        for panel in panels_of(verb, every):
            for key in matching(every, panel.patterns):
                if one := _together(panel, key, own, colors):
                    charts.setdefault(panel.under or FIRST, []).append(one)
    return Comparison(
        charts=charts, table=_last(runs, found), differences=differences(runs), runs=[run.name for run in runs]
    )


def _together(panel: Panel, key: str, own: Mapping[str, Series], colors: Mapping[str, int]) -> Chart | None:
    points = {name: one[key] for name, one in own.items() if key in one}
    if not any(len(steps) > 1 for steps, _ in points.values()) or not any(any(values) for _, values in points.values()):
        return None
    lines = [Line(name, it, colors[name] % COLORS, colors[name] // COLORS) for name, it in points.items()]
    title = panel.title if panel.patterns == (key,) else f"{panel.title}: {key}"
    return chart(title, lines, panel.unit, key)


def _last(runs: Sequence[Run], found: Mapping[str, Series]) -> Table | None:
    keys = matching({key: () for one in found.values() for key in one}, TABLE)
    shared = [key for key in keys if sum(key in one for one in found.values()) > 1]
    rows = [[key, *(_change(key, found[run.name]) for run in runs)] for key in shared]
    note = "The first value, and the last; means of up to five steps of what is measured in each."
    return Table("Results side by side", ["metric", *(run.name for run in runs)], rows, note) if rows else None


def _change(key: str, one: Series) -> str:
    if key not in one:
        return ""
    first, last = (valued(key, value) for value in ends(key, one[key][1]))
    return f"{first} → {last}" if len(one[key][1]) > 1 else last


def differences(runs: Sequence[Run]) -> list[Differences]:
    """The settings in which runs differ, for each verb with several runs."""
    found = []
    for verb in dict.fromkeys(run.verb for run in runs):
        own = [run for run in runs if run.verb == verb]
        keys = dict.fromkeys(key for run in own for key in run.settings)
        rows = [(key, [_cell(run, key) for run in own]) for key in keys]
        differ = [(key, cells) for key, cells in rows if len({value for value, _ in cells}) > 1]
        found += [Differences(verb, [run.name for run in own], differ)] * (len(own) > 1)
    return found


def _cell(run: Run, key: str) -> tuple[str, bool]:
    if key not in run.settings:
        return "", True
    value, default = run.settings[key]
    return shown(value), value == default
