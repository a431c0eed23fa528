"""Scoring: the weighted sum of every reward that applies to a rollout."""

import math
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np

from rewards.arguments import trial
from rewards.classes import Built
from rewards.function import RewardFunction
from rewards.registry import check, resolve
from rewards.source import raised_at
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError, UniGRPOError
from unigrpo.types import Prompt, Rollout, Scored


class Scorer:
    """The rewards of a run, found and checked once, applied to each rollout."""

    def __init__(self, entries: Mapping[str, RewardEntry], built: Built | None = None) -> None:
        """Find every reward.

        Args:
            built: shared by several scorers, so that a class with the same settings is built once for all of them.
        """
        if not entries:
            raise ConfigError(
                "rewards is empty, so that no response earns anything: add one, such as rewards.math.weight=1."
            )
        for name, entry in entries.items():
            if not math.isfinite(entry.weight):
                raise ConfigError(f"rewards.{name}.weight is {entry.weight}: set it to a finite number.")
        built = {} if built is None else built
        self.weights = {name: float(entry.weight) for name, entry in entries.items()}
        self.rewards = {name: resolve(name, entry, built).filled() for name, entry in entries.items()}

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `RewardError` unless every reward finds its arguments in every prompt, and works on a trial rollout.

        The trial is the first prompt with its own answer as the response, or with an image as the drawing; there a
        reward may well return None.
        """
        check(self.rewards.values(), prompts)
        for function in self.rewards.values():
            _values(function, [trial(prompts[0])])

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Return the rollouts in the same order, each with its reward and its unweighted parts.

        Raises:
            RewardError: a reward raised, returned something that is no finite number, or none applied to a rollout.
        """
        columns = [_values(function, rollouts) for function in self.rewards.values()]
        return [self._scored(rollout, values) for rollout, *values in zip(rollouts, *columns, strict=True)]

    def _scored(self, rollout: Rollout, values: Sequence[float | None]) -> Scored:
        found = zip(self.rewards, values, strict=True)
        parts = {name: value for name, value in found if value is not None}
        if not parts:
            raise RewardError(
                f"no reward applies to rollout {rollout.id}: {', '.join(self.rewards)} returned None. Return a number, "
                "or add a reward that applies."
            )
        return Scored(rollout=rollout, reward=sum(self.weights[name] * parts[name] for name in parts), parts=parts)


def _values(reward: RewardFunction, rollouts: Sequence[Rollout]) -> list[float | None]:
    """What a reward says of each rollout, checked."""
    if not reward.parameters.many:
        return [_value(reward, rollout) for rollout in rollouts]
    if not rollouts:
        return []
    with _named(reward, f"{len(rollouts)} rollouts, the first of them {rollouts[0].id}"):
        found = reward.call_many(rollouts)
    found = found.tolist() if hasattr(found, "tolist") else found
    if not isinstance(found, list | tuple) or len(found) != len(rollouts):
        raise RewardError(
            f"rewards.{reward.name} returned {_describe(found)} for {len(rollouts)} rollouts: return a list with one "
            "number, or None, for each."
        )
    return [_number(reward, rollout, value) for rollout, value in zip(rollouts, found, strict=True)]


def _value(reward: RewardFunction, rollout: Rollout) -> float | None:
    with _named(reward, f"rollout {rollout.id}"):
        value = reward(rollout)
    return _number(reward, rollout, value)


@contextmanager
def _named(reward: RewardFunction, subject: str):
    """Say which reward failed, where, and on what."""
    try:
        yield
    except UniGRPOError:
        raise
    except Exception as error:
        raise RewardError(
            f"rewards.{reward.name} raised {type(error).__name__}: {error} at {raised_at(error, reward.function)}, on "
            f"{subject}. Correct it there; a reward that does not apply to a response returns None."
        ) from error


def _number(reward: RewardFunction, rollout: Rollout, value: Any) -> float | None:
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
