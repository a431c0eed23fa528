"""Scoring: what every reward of a task says of its rollouts."""

import math
from collections.abc import Callable, Sequence

from rewards.arguments import trial
from rewards.calls import begin
from rewards.classes import Built
from rewards.compose import Entries, compose
from rewards.registry import check, resolve
from rewards.score import Judged
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import Prompt, Rollout, Scored

TAKEN = ("accuracy", "failed", "mean", "reward", "std", "truncated", "zero_std")
"""Metrics of a step or an evaluation that stand beside those of the rewards."""


class Scorer:
    """The rewards of a task, found and checked once, applied to each rollout."""

    def __init__(self, entries: Entries, built: Built | None = None) -> None:
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
            if name in TAKEN or "/" in name or name.startswith("pass@"):
                raise ConfigError(f"rewards.{name} would be logged under a name that is taken: call it something else.")
            missing = next((other for other in entry.requires if other not in entries or other == name), None)
            if missing is not None:
                raise ConfigError(f"rewards.{name}.requires holds {missing!r}, which is no other reward: correct it.")
        built = {} if built is None else built
        self.entries = entries
        self.rewards = {name: resolve(name, entry, built).filled() for name, entry in entries.items()}

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `RewardError` unless every reward finds its arguments in every prompt, and works on a trial rollout.

        The trial is the first prompt with its own answer as the response, or with an image as the drawing; there a
        reward may well return None.
        """
        check(self.rewards.values(), prompts)
        for name, score in self.begin([trial(prompts[0])])()[0].scores.items():
            if score.failed or score.fault:
                raise RewardError(
                    f"rewards.{name} failed on the gold answer of the first prompt, {prompts[0].id}, so that it would "
                    f"fail in training: {score.note or 'its value is nan'}"
                )

    def begin(self, rollouts: Sequence[Rollout], at_once: bool = False) -> Callable[[], list[Judged]]:
        """Start what goes on by itself, and return how to get what each reward says of each rollout.

        Args:
            at_once: compute all that needs no waiting now, instead of when it is asked for.

        Raises:
            RewardError: then, or when asked: a reward returned what is no score, or failed and its `on_error` is
                `raise`.
        """
        pending = {name: begin(reward, rollouts) for name, reward in self.rewards.items()} if rollouts else {}
        ready = {name: finish() for name, finish in pending.items() if at_once and not self.rewards[name].asynchronous}

        def finish() -> list[Judged]:
            found = {name: ready.get(name) or finish() for name, finish in pending.items()}
            return [
                Judged(
                    scores={name: score for name, (said, _) in found.items() if (score := said[row]) is not None},
                    seconds={name: seconds / len(rollouts) for name, (_, seconds) in found.items()},
                )
                for row in range(len(rollouts))
            ]

        return finish

    def score(self, rollouts: Sequence[Rollout], normalize: bool = True) -> list[Scored]:
        """Return the rollouts in the same order, each with its reward and its unweighted parts; see `compose`."""
        stream = rollouts[0].prompt.stream if rollouts else ""
        return compose({stream: self.entries}, rollouts, self.begin(rollouts)(), normalize)
