"""Which rollouts of a step are written down, and how they were denoised."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unigrpo.types import Rollout, Scored

Piece = Callable[[list[int]], str]
"""The text of some token ids."""
PART, BYTES = "\N{REPLACEMENT CHARACTER}", 4
"""What a part of a character is decoded to, and the most parts that a character has."""
MOST = 16
"""Rollouts of the one group that is written down whole."""


def choose(scored: Sequence[Scored], rows: int) -> dict[int, str]:
    """The rollouts of a step that are written down, by their place in it, and what each is there for.

    Some are spread evenly over the step, so that several prompts are seen and not one group; their word is empty. The
    others are the `best`, `median` and `worst` one of each task, and the other rollouts of the `group` that differs
    most, where rewards differ at all.

    Args:
        rows: how many are spread over the step.
    """
    found = dict.fromkeys(_group(scored), "group") | dict.fromkeys(spread(len(scored), rows), "")
    for places in _tasks(scored).values():
        found |= _ranked(scored, places)
    return dict(sorted(found.items()))


def earned(item: Scored) -> dict[str, Any]:
    """What a rollout earned and why, as JSON; null is what is not known."""
    found = {"reward": _finite(item.reward), "parts": {name: _finite(value) for name, value in item.parts.items()}}
    return found | {name: value for name in ("notes", "faults") if (value := getattr(item, name))}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def spread(count: int, rows: int) -> list[int]:
    """At most so many of `count` places, evenly."""
    rows = min(rows, count)
    return [index * count // rows for index in range(rows)]


def _tasks(scored: Sequence[Scored]) -> dict[str, list[int]]:
    """The places of each task's rollouts whose reward is known."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(scored):
        if item.known:
            found.setdefault(item.rollout.prompt.stream, []).append(place)
    return found


def _ranked(scored: Sequence[Scored], places: Sequence[int]) -> dict[int, str]:
    order = sorted(places, key=lambda place: -scored[place].reward)
    if scored[order[0]].reward - scored[order[-1]].reward <= 0:
        return {}
    return {order[len(order) // 2]: "median", order[-1]: "worst", order[0]: "best"}


def _group(scored: Sequence[Scored]) -> list[int]:
    """The group whose rewards differ most, measured by those of its task."""
    best, chosen = 0.0, []
    for places in _tasks(scored).values():
        whole = _range(scored, places)
        groups: dict[str, list[int]] = {}
        for place in places:
            groups.setdefault(scored[place].rollout.id.rpartition("/")[0], []).append(place)
        for group in groups.values():
            if whole > 0 and (differs := _range(scored, group) / whole) > best:
                best, chosen = differs, group
    return chosen[:MOST]


def _range(scored: Sequence[Scored], places: Sequence[int]) -> float:
    rewards = [scored[place].reward for place in places]
    return max(rewards) - min(rewards)


def replay(rollout: Rollout, piece: Piece) -> Mapping[str, Any]:
    """The text of a rollout token by token, and the step that committed each; empty for a drawing without a thought.

    A character of several tokens is there with the one that came last.
    """
    count = _written(rollout)
    kept = rollout.sampled[:count]
    if not kept.any():
        return {}
    tokens, steps = rollout.tokens[:count][kept].tolist(), rollout.commit_step[:count][kept].tolist()
    pieces = [""] * len(tokens)
    for own, text in legible(tokens, piece):
        pieces[max(range(own.start, own.stop), key=steps.__getitem__)] = text
    return {"replay": {"pieces": pieces, "commit": steps}}


def legible(tokens: list[int], piece: Piece) -> Iterator[tuple[slice, str]]:
    """The text of tokens one by one; those that only together make up a character come together."""
    at = 0
    while at < len(tokens):
        ends = range(at + 1, min(at + BYTES, len(tokens)) + 1)
        end = next((end for end in ends if PART not in piece(tokens[at:end])), at + 1)
        yield slice(at, end), piece(tokens[at:end])
        at = end


def _written(rollout: Rollout) -> int:
    """How many tokens of a rollout come before what is drawn."""
    if rollout.image is None:
        return len(rollout.tokens)
    return rollout.sampling.gen_length if rollout.prompt.task == "think_image" else 0


def drawn_steps(rollout: Rollout) -> list[int]:
    """The step at which each code of a drawing was committed, counted from 0; -1 for one that was given."""
    thought = rollout.prompt.task == "think_image"
    # The start of the image stands between a thought and the codes, and the end of the image after them.
    steps_N = rollout.commit_step[_written(rollout) + thought : -1]
    drawn_N = steps_N >= 0
    return np.where(drawn_N, steps_N - steps_N[drawn_N].min(initial=2**31 - 1), -1).tolist()
