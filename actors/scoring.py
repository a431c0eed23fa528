"""What runs inside an actor that scores. It imports no torch: but for rewards that have a model, it needs none."""

from collections.abc import Callable

from actors.desk import Hosted
from rewards.score import Judged
from rewards.tasks import TaskScorer
from unigrpo.config import TrainConfig, tasks_of
from unigrpo.types import Rollout


class RewardWorker(Hosted):
    """Hosts the scorer; it needs no model of ours."""

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.scorer = TaskScorer({name: task.rewards for name, task in tasks_of(config).items()})
        self.begun: dict[int, Callable[[], list[Judged]]] = {}

    def begin(self, turn: int, rollouts: list[Rollout]) -> None:
        """Computes what can be computed, and lets what waits for others wait while more is begun."""
        self.begun[turn] = self.scorer.begin(rollouts, at_once=True)

    def finish(self, turn: int) -> list[Judged] | None:
        """What the rewards say of each, without the rollouts: pictures need not travel back. None if never begun."""
        return self.begun.pop(turn)() if turn in self.begun else None

    def judge(self, rollouts: list[Rollout]) -> list[Judged]:
        """Both in one."""
        return self.scorer.begin(rollouts)()
