"""Rewards that fail step after step: a run that went on would learn from what little is left."""

import math
from collections.abc import Sequence

from unigrpo.config import ScoringSection
from unigrpo.errors import RewardError, TrainingError
from unigrpo.summary import share
from unigrpo.types import Scored


class Failing:
    """Counts the steps in a row in which too many rollouts have no reward."""

    def __init__(self, section: ScoringSection):
        self.section, self.steps = section, 0

    def check(self, scored: Sequence[Scored]) -> None:
        """Takes notice of one step.

        Raises:
            TrainingError: it is one step too many.
        """
        failed = share(not item.known for item in scored)
        self.steps = self.steps + 1 if failed > self.section.max_failed else 0
        if self.steps > self.section.max_failed_steps:
            raise TrainingError(
                f"{failed:.0%} of the rollouts have no reward, and too many had none in {self.steps} steps in a row "
                f"(scoring.max_failed={self.section.max_failed:g}): {why(scored)}"
            )


def check_failed(scored: Sequence[Scored], most: float, where: str) -> None:
    """Raises `RewardError` when more than a share `most` of an evaluation has no reward."""
    failed = share(not item.known for item in scored)
    if failed > most:
        raise RewardError(
            f"{failed:.0%} of the responses have no reward (max_failed={most:g}); {where} holds them all. {why(scored)}"
        )


def why(scored: Sequence[Scored]) -> str:
    """The first reason that a reward gave for having failed."""
    for item in scored:
        for name, value in item.parts.items():
            if math.isnan(value):
                task = item.rollout.prompt.stream
                return (f"tasks.{task}: " if task else "") + (item.notes.get(name) or f"rewards.{name} was nan.")
    return "no reward said why."
