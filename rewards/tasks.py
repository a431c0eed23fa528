"""Scoring rollouts of several tasks, each by the rewards of its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rewards.classes import Built
from rewards.scorer import Scorer
from unigrpo.config import RewardEntry
from unigrpo.errors import RewardError, UniGRPOError
from unigrpo.types import Prompt, Rollout, Scored


class TaskScorer:
    """One scorer for each task of a run; a reward that several share with the same settings is built once."""

    def __init__(self, tasks: Mapping[str, Mapping[str, RewardEntry]]) -> None:
        built: Built = {}
        self.scorers: dict[str, Scorer] = {}
        for name, entries in tasks.items():
            with _of_task(name):
                self.scorers[name] = Scorer(entries, built)

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `RewardError` unless every task has prompts and its rewards work on them; see `Scorer.check`."""
        for name, scorer in self.scorers.items():
            own = [prompt for prompt in prompts if prompt.stream == name]
            with _of_task(name):
                if not own:
                    raise RewardError("there are no prompts to be rewarded: give it data, or drop the task.")
                scorer.check(own)

    def score(self, rollouts: Sequence[Rollout]) -> list[Scored]:
        """Return the rollouts in the same order, scored; see `Scorer.score`."""
        places: dict[str, list[int]] = {}
        for place, rollout in enumerate(rollouts):
            places.setdefault(rollout.prompt.stream, []).append(place)
        scored: dict[int, Scored] = {}
        for name, own in places.items():
            with _of_task(name):
                scored |= zip(own, self.scorers[name].score([rollouts[place] for place in own]), strict=True)
        return [scored[place] for place in range(len(rollouts))]


@contextmanager
def _of_task(name: str) -> Iterator[None]:
    """Say which task an error is about, where there are several."""
    try:
        yield
    except UniGRPOError as error:
        if not name:
            raise
        raise type(error)(f"tasks.{name}: {error}") from error
