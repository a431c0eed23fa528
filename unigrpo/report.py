"""Learning curves and tables from the files of runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unigrpo.errors import DataError

KEYS = ("eval/accuracy", "reward/mean")
LABELS = {"eval/accuracy": "Held-out accuracy", "reward/mean": "Mean reward in training"}
SMOOTH_FROM = 40
WIDTH, HEIGHT, DPI = 5.2, 3.6, 150

Points = tuple[list[int], list[float]]


def curve(runs: Mapping[str, str | Path], out: str | Path, keys: Sequence[str] = KEYS) -> None:
    """Draws a panel for each metric, with a line for each run, as PNG.

    Args:
        runs: the folder of each run, by the name it has in the legend.
        keys: the metrics; one that no run has gets no panel.

    Raises:
        DataError: a run has no metrics, or none of them has any of the keys.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {name: read_metrics(folder) for name, folder in runs.items()}
    panels = {key: found for key in keys if (found := lines(rows, key))}
    if not panels:
        raise DataError(f"Nothing to draw: no run has {' or '.join(keys)} in its metrics.jsonl.")
    figure = Figure(figsize=(WIDTH * len(panels), HEIGHT), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colors = {name: f"C{index % 10}" for index, name in enumerate(runs)}
    for axis, (key, shown) in zip(axes, panels.items(), strict=True):
        draw(axis, LABELS.get(key, key), shown, colors)
        axis.set_ylabel(key)
    if len(runs) > 1:
        max(axes, key=lambda axis: len(axis.get_legend_handles_labels()[1])).legend(frameon=False, fontsize=9)
    FigureCanvasAgg(figure)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=DPI, format="png")


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl; a last line that is still being written is left out.

    Raises:
        DataError: there is no such file, or a line of it is broken.
    """
    path = Path(folder) / "metrics.jsonl"
    try:
        complete = path.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        raise DataError(f"{path} cannot be read: name the folder of a run.") from None
    try:
        return [json.loads(line) for line in complete]
    except json.JSONDecodeError as error:
        raise DataError(f"{path} holds a line that is not JSON: {error}.") from None


def lines(rows: Mapping[str, list[dict[str, Any]]], key: str) -> dict[str, Points]:
    """The points of one metric for each run that has it."""
    points = {name: {row["step"]: row[key] for row in run if row.get(key) is not None} for name, run in rows.items()}
    return {name: (sorted(found), [found[step] for step in sorted(found)]) for name, found in points.items() if found}


def draw(axis, title: str, lines: Mapping[str, Points], colors: Mapping[str, str] | None = None) -> None:
    """Draws a panel with a line for each name; a long one also as its moving average.

    Args:
        axis: of matplotlib.
        colors: by name; by default one after the other.
    """
    colors = colors or {name: f"C{index % 10}" for index, name in enumerate(lines)}
    for name, (steps, values) in lines.items():
        many = len(steps) >= SMOOTH_FROM
        if many:
            axis.plot(steps, values, color=colors[name], alpha=0.25, linewidth=0.8)
            values = smooth(values)
        axis.plot(
            steps, values, color=colors[name], label=name, linewidth=1.8, marker="" if many else "o", markersize=3.5
        )
    smoothed = any(len(steps) >= SMOOTH_FROM for steps, _ in lines.values())
    axis.set_title(title + (" (moving average)" if smoothed else ""), loc="left", fontsize=11)
    axis.set_xlabel("Step")
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.get_major_locator().set_params(integer=True)
    if "accuracy" in title.lower():
        axis.set_ylim(0, 1)


def smooth(values: Sequence[float], decay: float = 0.9) -> list[float]:
    """Exponential moving average, corrected for its start, so that the first value is itself."""
    total, weight, result = 0.0, 0.0, []
    for value in values:
        total, weight = decay * total + value, decay * weight + 1
        result.append(total / weight)
    return result


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table with a column for each key, in order of appearance; numbers to four digits, gaps left empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numbers = {key: all(isinstance(row.get(key), int | float | None) for row in rows) for key in columns}
    rule = ["---:" if numbers[key] else "---" for key in columns]
    body = [[_cell(row.get(key)) for key in columns] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in ([*map(_cell, columns)], rule, *body))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split()).replace("|", "\\|")
