"""Shares with their intervals, as bars, in a PNG file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WIDTH, LINE, MARGIN, DPI = 6.4, 0.26, 0.9, 150
"""Inches of the picture, of a bar, and around the bars of a panel."""
LONGEST = 40
"""Characters of a label."""


class Bar(NamedTuple):
    """A value with its interval."""

    name: str
    value: float
    low: float
    high: float


def bars(panels: Mapping[str, Sequence[Bar]], out: str | Path) -> None:
    """Draws a panel of horizontal bars under each title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [MARGIN + LINE * len(rows) for rows in panels.values()]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        _panel(axis, title, rows)
    FigureCanvasAgg(figure)
    figure.savefig(out, dpi=DPI, format="png")


def _panel(axis, title: str, rows: Sequence[Bar]) -> None:
    places = range(len(rows))
    slack = [[max(0.0, row.value - row.low) for row in rows], [max(0.0, row.high - row.value) for row in rows]]
    axis.barh(places, [row.value for row in rows], xerr=slack, height=0.7, color="C0", ecolor="0.3", capsize=2)
    axis.set_yticks(places, [row.name[:LONGEST] for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_title(title, loc="left", fontsize=10)
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    if all(row.low >= 0 and row.high <= 1 for row in rows):
        axis.set_xlim(0, 1)
