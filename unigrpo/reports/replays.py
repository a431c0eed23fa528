"""How a response came about, from the step that committed each of its tokens or codes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unigrpo.reports.series import number
from unigrpo.reports.told import Replay


def of_text(when: str, row: Mapping[str, Any]) -> Replay | None:
    """The replay of a row of rollouts.jsonl; None where what it holds does not fit together."""
    pieces, commit = row["replay"].get("pieces"), row["replay"].get("commit")
    if not isinstance(pieces, list) or not isinstance(commit, list) or len(pieces) != len(commit):
        return None
    steps, count = ranks(commit)
    task = f"{row['task']}, " if row.get("task") else ""
    return Replay(
        title=f"{task}{when}{_earned(row)}",
        caption=str(row.get("prompt", "")),
        steps=count,
        tokens=list(zip(map(str, pieces), steps, strict=True)),
    )


def of_drawing(when: str, row: Mapping[str, Any], address: str) -> Replay | None:
    """The replay of a picture that was kept, under squares for its codes; None where its codes are not known."""
    commit = str(row.get("commit") or "").split()
    side = math.isqrt(len(commit))
    if not commit or side * side != len(commit) or not all(word.lstrip("-").isdigit() for word in commit):
        return None
    codes, count = ranks([int(word) for word in commit])
    thought = f" ({row['thought']})" if row.get("thought") else ""
    return Replay(
        title=f"{row.get('task', '')}, {when}{_earned(row)}",
        caption=f"{row.get('prompt', '')}{thought}",
        steps=count,
        picture=address,
        codes=codes,
        side=side,
    )


def _earned(row: Mapping[str, Any]) -> str:
    reward = row.get("reward")
    return f", reward {number(reward)}" if isinstance(reward, int | float) and math.isfinite(reward) else ""


def ranks(commit: Sequence[int]) -> tuple[list[int], int]:
    """Of each commit step its place among those that committed anything, from 1, and their number; 0 if given."""
    order = {step: at for at, step in enumerate(sorted({step for step in commit if step >= 0}), start=1)}
    return [order.get(step, 0) for step in commit], len(order)
