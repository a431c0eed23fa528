"""Calling a reward on trial responses: what it says of each, whatever happens, and how long a call takes."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rewards.calls import begin
from rewards.function import RewardFunction
from rewards.score import Score
from unigrpo.errors import DataError, UniGRPOError
from unigrpo.types import Rollout

BESIDE = {"pool": 4, "async": 32}
"""Calls under way at a time, of rewards that run in processes of their own, and of those that wait for others."""
PATIENCE = 3
"""Equal errors that are taken for those of responses or rows; one more is one of the reward."""


class Said(NamedTuple):
    """What a reward says of one response; NaN where it raised, None where it does not apply."""

    score: Score | None
    seconds: float


class Asker:
    """Calls one reward. What it raises is a score that failed, so that one bad row does not hide the others.

    An error that comes again and again, word for word, is about no row, and is raised; so is one that is the same for
    one response as for many.
    """

    def __init__(self, reward: RewardFunction) -> None:
        self.reward = reward
        beside = BESIDE["async"] if reward.asynchronous else BESIDE["pool"] if reward.pool is not None else 0
        self.errors: Counter[str] = Counter()
        self.threads = ThreadPoolExecutor(beside) if beside and not reward.parameters.many else None

    def ask(self, rollouts: Sequence[Rollout]) -> list[Said]:
        """Return what it says of each; together if it judges many at once, else one by one."""
        if not rollouts:
            return []
        if self.reward.parameters.many:
            return self._together(rollouts)
        # In the main thread unless it runs elsewhere: some rewards set alarms.
        return list((self.threads.map if self.threads else map)(self._one, rollouts))

    def close(self) -> None:
        """Let the threads end."""
        if self.threads:
            self.threads.shutdown()

    def _together(self, rollouts: Sequence[Rollout]) -> list[Said]:
        started = time.perf_counter()
        try:
            scores, _ = begin(self.reward, rollouts)()
        except UniGRPOError as error:
            if not isinstance(error, DataError):
                self.errors[str(error)] += PATIENCE
            return [self._one(rollout) for rollout in rollouts]
        seconds = (time.perf_counter() - started) / len(rollouts)
        # What stopped a call stopped it for all; by itself, each is judged on its own.
        return [
            self._one(rollout) if score is not None and score.fault else Said(score, seconds)
            for rollout, score in zip(rollouts, scores, strict=True)
        ]

    def _one(self, rollout: Rollout) -> Said:
        started = time.perf_counter()
        try:
            [score] = begin(self.reward, [rollout])()[0]
        except UniGRPOError as error:
            self.errors[str(error)] += 1
            if self.errors[str(error)] > PATIENCE and not isinstance(error, DataError):
                raise
            score = Score(math.nan, note=str(error), fault="error")
        return Said(score, time.perf_counter() - started)
