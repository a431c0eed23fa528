"""What rollouts earned, and what they earn now."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from unigrpo.cli.rewards_rollouts import Old
from unigrpo.types import Scored

EQUAL = 1e-6
"""Difference of two values that is no change."""


def means(rows: Sequence[Old], scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return a line for the reward and for each part; rows that lack one, or where it failed, are not in its mean."""
    old = [{"reward": row.reward, **row.parts} for row in rows]
    new = [{"reward": item.reward, **item.parts} for item in scored]
    names = dict.fromkeys(name for row in [*new, *old] for name in row)
    return [
        {
            "part": name,
            "old": _mean(row.get(name) for row in old),
            "new": _mean(row.get(name) for row in new),
            "rows": sum(name in row for row in new),
            "changed": sum(changed(a.get(name), b.get(name)) for a, b in zip(old, new, strict=True)),
        }
        for name in names
    ]


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None


def changed(old: float | None, new: float | None) -> bool:
    """Return whether two values differ; what is not known, null in a file, equals itself."""
    known = [value for value in (old, new) if value is not None and math.isfinite(value)]
    return len(known) == 1 or (len(known) == 2 and abs(known[0] - known[1]) > EQUAL)


def change(row: Old, new: Scored) -> dict[str, Any]:
    """Return a line about a row whose reward changed."""
    parts = {name for name, value in new.parts.items() if changed(row.parts.get(name), value)}
    return {
        "row": row.where.rpartition("/")[2],
        "id": row.values.get("id"),
        "output": row.rollout.output,
        "answer": row.rollout.prompt.answer,
        "old": row.reward,
        "new": new.reward,
        "parts": ", ".join(f"{name} {_word(row.parts.get(name))} -> {new.parts[name]:g}" for name in sorted(parts)),
        "note": "; ".join(new.notes.values()),
    }


def _word(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
