"""From what each reward says to what a rollout earns: gates, caps, normalisation, weights."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rewards.score import Judged
from unigrpo.config import RewardEntry
from unigrpo.errors import RewardError
from unigrpo.types import Rollout, Scored

FULL = 1.0
"""A reward that another one requires must be at least this."""
EQUAL = 1e-9
"""A standard deviation below this is that of equal values."""
Entries = Mapping[str, RewardEntry]


def compose(
    tasks: Mapping[str, Entries], rollouts: Sequence[Rollout], judged: Sequence[Judged], normalize: bool = True
) -> list[Scored]:
    """Return the rollouts, scored, in the same order.

    Args:
        tasks: the rewards of each task by name; "" is the only one of a run.
        normalize: whether to do what the entries' `normalize` says; an evaluation does not.

    Raises:
        RewardError: no reward applies to a rollout.
    """
    scored: list[Scored] = [None] * len(rollouts)  # type: ignore[list-item]
    for stream in dict.fromkeys(rollout.prompt.stream for rollout in rollouts):
        own = [at for at, rollout in enumerate(rollouts) if rollout.prompt.stream == stream]
        entries = tasks[stream]
        columns = [
            entry.weight * _column(name, entry, [rollouts[at] for at in own], [judged[at] for at in own], normalize)
            for name, entry in entries.items()
            if entry.weight
        ]
        for row, at in enumerate(own):
            scored[at] = _scored(rollouts[at], judged[at], [column[row] for column in columns], list(entries))
    return scored


def finished(
    tasks: Mapping[str, Entries],
    begun: Sequence[tuple[Sequence[Rollout], Callable[[], list[Judged]]]],
    normalize: bool = True,
) -> list[Scored]:
    """Wait for the rewards of several sets of rollouts, and return all of these, scored."""
    judged = [item for _, finish in begun for item in finish()]
    return compose(tasks, [rollout for rollouts, _ in begun for rollout in rollouts], judged, normalize)


def group_of(rollout: Rollout) -> str:
    """Return what the rollouts of one prompt in one step have in common."""
    return rollout.id.rpartition("/")[0]


def _column(
    name: str, entry: RewardEntry, rollouts: Sequence[Rollout], judged: Sequence[Judged], normalize: bool
) -> np.ndarray:
    """What a reward adds to each rollout before its weight: 0 where it does not apply, NaN where it is not known."""
    values = np.array([_value(name, entry, item) for item in judged], dtype=float)
    applies = np.array([name in item.scores for item in judged], dtype=bool)
    if normalize and entry.normalize != "none":
        groups = [group_of(rollout) if entry.normalize == "group" else "" for rollout in rollouts]
        for group in dict.fromkeys(groups):
            rows = applies & np.isfinite(values) & np.array([other == group for other in groups])
            values[rows] = _standard(values[rows])
    return np.where(applies, values, 0.0)


def _standard(values: np.ndarray) -> np.ndarray:
    if not len(values):
        return values
    centred = values - values.mean()
    deviation = float(np.sqrt((centred**2).mean()))
    return centred / deviation if deviation > EQUAL else np.zeros_like(values)


def _value(name: str, entry: RewardEntry, judged: Judged) -> float:
    """The value between its caps and behind its gates: what these returned themselves.

    A gate that does not apply is open, and one that failed leaves the value unknown.
    """
    if name not in judged.scores:
        return 0.0
    value = judged.scores[name].value
    gates = [judged.scores[other].value for other in entry.requires if other in judged.scores]
    if any(math.isnan(gate) for gate in (value, *gates)):
        return math.nan
    low = value if entry.min is None else max(value, entry.min)
    capped = low if entry.max is None else min(low, entry.max)
    return 0.0 if any(gate < FULL for gate in gates) else capped


def _scored(rollout: Rollout, judged: Judged, earned: Sequence[float], names: list[str]) -> Scored:
    if not judged.scores:
        raise RewardError(
            f"no reward applies to rollout {rollout.id}: {', '.join(names)} returned None. Return a number, or add a "
            "reward that applies."
        )
    parts: dict[str, float] = {}
    for name, score in judged.scores.items():
        parts[name] = score.value
        parts |= {f"{name}/{part}": value for part, value in score.parts.items()}
    return Scored(
        rollout=rollout,
        reward=float(sum(earned)),
        parts=parts,
        notes={name: score.note for name, score in judged.scores.items() if score.note},
        faults={name: score.fault for name, score in judged.scores.items() if score.fault},
        seconds=judged.seconds,
    )
