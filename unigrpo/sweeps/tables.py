"""Tables of a sweep, as csv and Markdown."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from unigrpo import report
from unigrpo.sweeps.points import shown
from unigrpo.sweeps.results import Mode, Outcome, Summary, with_interval

Row = dict[str, Any]


def trial_rows(outcomes: Sequence[Outcome], metrics: Sequence[str], mode: Mode) -> list[Row]:
    """A row for each trial."""
    return [_trial(one, metrics, mode) for one in outcomes]


def _trial(one: Outcome, metrics: Sequence[str], mode: Mode) -> Row:
    best = one.best(metrics[0], mode)
    row = {**one.point.choices, "seed": one.seed, "state": one.state, "steps": one.steps}
    row |= {f"{metric} final": one.final(metric) for metric in metrics}
    row |= {f"{metrics[0]} best": best and best[0], "best step": best and best[1]}
    return row | {"seconds": round(one.seconds, 1), "folder": str(one.folder), "why": one.why}


def point_rows(found: Sequence[Summary], metrics: Sequence[str]) -> list[Row]:
    """A row for each point, with means and halves of the intervals as numbers."""
    return [_point(one, metrics) for one in found]


def _point(one: Summary, metrics: Sequence[str]) -> Row:
    row: Row = {**one.point.choices, "n": one.seeds, "ended early": one.stopped, "failed": one.failed}
    columns = {f"{metric} final": one.final[metric] for metric in metrics}
    columns |= {f"{metrics[0]} best": one.best, f"{metrics[0]} behind the best": one.behind}
    for name, value in columns.items():
        row[name], row[f"{name} ± 95 %"] = (value.mean, value.half) if value else (None, None)
    return row


def point_table(found: Sequence[Summary], metrics: Sequence[str]) -> str:
    """The points as Markdown: means over seeds with intervals of 95 %."""
    rows = []
    for one in found:
        row: Row = {axis: shown(choice) for axis, choice in one.point.choices.items()}
        row |= {"n": one.seeds, **{f"{metric}, final": with_interval(one.final[metric]) for metric in metrics}}
        row[f"{metrics[0]}, best"] = with_interval(one.best)
        row["final, less the best point's"] = with_interval(one.behind)
        row |= {"ended early": one.stopped} if any(other.stopped for other in found) else {}
        rows.append(row | ({"failed": one.failed} if any(other.failed for other in found) else {}))
    return report.table(rows)


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as csv; nothing where a number is not known."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
