"""Scoring rollouts of several tasks, each by the rewards of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rewards.classes import Built
from rewards.compose import Entries, finished
from rewards.score import Judged
from rewards.scorer import Scorer
from unigrpo.errors import RewardError, UniGRPOError
from unigrpo.types import Prompt, Rollout, Scored


class TaskScorer:
    """One scorer for each task of a run; a reward that several share with the same settings is built once."""

    def __init__(self, tasks: Mapping[str, Entries]) -> None:
        built: Built = {}
        self.tasks = tasks
        self.scorers: dict[str, Scorer] = {}
        for name, entries in tasks.items():
            with of_task(name):
                self.scorers[name] = Scorer(entries, built)

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `RewardError` unless every task has prompts and its rewards work on them; see `Scorer.check`."""
        for name, scorer in self.scorers.items():
            own = [prompt for prompt in prompts if prompt.stream == name]
            with of_task(name):
                if not own:
                    raise RewardError("there are no prompts to be rewarded: give it data, or drop the task.")
                scorer.check(own)

    def begin(self, rollouts: Sequence[Rollout], at_once: bool = False) -> Callable[[], list[Judged]]:
        """Start what goes on by itself, and return how to get what the rewards say of each; see `Scorer.begin`."""
        places: dict[str, list[int]] = {}
        for place, rollout in enumerate(rollouts):
            places.setdefault(rollout.prompt.stream, []).append(place)
        pending: dict[str, Callable[[], list[Judged]]] = {}
        for name, own in places.items():
            with of_task(name):
                pending[name] = self.scorers[name].begin([rollouts[place] for place in own], at_once)

        def finish() -> list[Judged]:
            judged: dict[int, Judged] = {}
            for name, own in places.items():
                with of_task(name):
                    judged |= zip(own, pending[name](), strict=True)
            return [judged[place] for place in range(len(rollouts))]

        return finish

    def finish(
        self, begun: Sequence[tuple[Sequence[Rollout], Callable[[], list[Judged]]]], normalize: bool = True
    ) -> list[Scored]:
        """Return the rollouts of several beginnings, one after the other, each with its reward; see `compose`."""
        return finished(self.tasks, begun, normalize)

    def score(self, rollouts: Sequence[Rollout], normalize: bool = True) -> list[Scored]:
        """Return the rollouts in the same order, each with its reward; see `compose`."""
        return self.finish([(rollouts, self.begin(rollouts))], normalize)


@contextmanager
def of_task(name: str) -> Iterator[None]:
    """Say which task an error is about, where there are several."""
    try:
        yield
    except UniGRPOError as error:
        if not name:
            raise
        raise type(error)(f"tasks.{name}: {error}") from error
