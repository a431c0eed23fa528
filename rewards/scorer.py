"""Scoring: the weighted sum of every reward that applies to a rollout."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from rewards.registry import RewardFunction, check, resolve
from rewards.source import raised_at
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError, UniGRPOError
from unigrpo.types import Prompt, Rollout, Sampling, Scored


class Scorer:
    """The rewards of a run, found and checked once, applied to each rollout."""

    def __init__(self, entries: Mapping[str, RewardEntry]) -> None:
        if not entries:
            raise ConfigError(
                "rewards is empty, so that no response earns anything: add one, such as rewards.math.weight=1."
            )
        for name, entry in entries.items():
            if not math.isfinite(entry.weight):
                raise ConfigError(f"rewards.{name}.weight is {entry.weight}: set it to a finite number.")
        self.weights = {name: float(entry.weight) for name, entry in entries.items()}
        self.rewards = {name: resolve(name, entry) for name, entry in entries.items()}

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `RewardError` unless every reward finds its arguments in every prompt, and works on a trial rollout.

        The trial is the first prompt with its own answer as the response; there a reward may well return None.
        """
        check(self.rewards.values(), prompts)
        for function in self.rewards.values():
            _value(function, _trial(prompts[0]))

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Return the rollouts in the same order, each with its reward and its unweighted parts.

        Raises:
            RewardError: a reward raised, returned something that is no finite number, or none applied to a rollout.
        """
        return [self._score_one(rollout) for rollout in rollouts]

    def _score_one(self, rollout: Rollout) -> Scored:
        values = {name: _value(function, rollout) for name, function in self.rewards.items()}
        parts = {name: value for name, value in values.items() if value is not None}
        if not parts:
            raise RewardError(
                f"no reward applies to rollout {rollout.id}: {', '.join(values)} returned None. Return a number, or "
                "add a reward that applies."
            )
        return Scored(rollout=rollout, reward=sum(self.weights[name] * parts[name] for name in parts), parts=parts)


def _trial(prompt: Prompt) -> Rollout:
    """A rollout that no policy drew; the prompt's tokens stand for those of the response."""
    length = len(prompt.tokens)
    return Rollout(
        id=f"gold-answer/{prompt.id}/0",
        prompt=prompt,
        tokens=prompt.tokens,
        commit_step=np.arange(length, dtype=np.int32),
        output=prompt.answer or "",
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=length, block_length=length),
        truncated=False,
    )


def _value(reward: RewardFunction, rollout: Rollout) -> float | None:
    try:
        value = reward(rollout)
    except UniGRPOError:
        raise
    except Exception as error:
        raise RewardError(
            f"rewards.{reward.name} raised {type(error).__name__}: {error} at {raised_at(error, reward.function)}, on "
            f"rollout {rollout.id}. Correct it there; a reward that does not apply to a response returns None."
        ) from error
    if value is None:
        return None
    if not isinstance(value, Real | np.bool_):
        raise RewardError(
            f"rewards.{reward.name} returned {_describe(value)} for rollout {rollout.id}: return one number."
        )
    number = float(value)
    if not math.isfinite(number):
        raise RewardError(
            f"rewards.{reward.name} returned {number} for rollout {rollout.id}: return a finite number, or None."
        )
    return number


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
        return f"{len(value)} values ({kind})"
    return f"{value!r:.60} ({kind})"
