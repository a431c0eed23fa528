"""What runs inside an actor: the local classes, built there. Plain classes; `actors.cluster` makes actors of them.

Each loads in `start`, not in its constructor: what a call raises reaches the driver as it is, unlike the failure of a
constructor.
"""

from collections.abc import Sequence
from pathlib import Path

import ray
from ray.actor import ActorHandle
from torch import Tensor

from rewards.tasks import TaskScorer
from rollout.colocated import Colocated, make_reference, set_threads
from unigrpo.batch import Batch
from unigrpo.config import TrainConfig, tasks_of
from unigrpo.types import Metrics, Prompt, Rollout, Scored


class RemoteReference:
    """The reference policy in an actor of its own, as the learner sees it."""

    def __init__(self, actor: ActorHandle):
        self.actor = actor

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update a [B, K, C] tensor for each batch; the actor makes the same masks from their keys."""
        return ray.get(self.actor.logprobs.remote(batches))


class PolicyWorker:
    """Hosts the policy: its sampler and its learner, on one set of weights."""

    def __init__(self, config: TrainConfig, reference: ActorHandle | None, resume_from: Path | None):
        self.config, self.resume_from = config, resume_from
        self.reference = RemoteReference(reference) if reference else None

    def start(self) -> None:
        """Loads the policy, from a checkpoint when the run goes on."""
        set_threads(self.config.cluster.threads)
        self.policy = Colocated.build(self.config, self.reference)
        if self.resume_from:
            self.policy.restore(self.resume_from)

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, step: int | str, temperature: float | None
    ) -> list[Rollout]:
        """See `rollout.sampler.Sampler.sample`."""
        return self.policy.sampler.sample(prompts, group_size, step, temperature)

    def learn(self, batches: Sequence[Batch]) -> Metrics:
        """See `unigrpo.learner.Learner.learn`."""
        return self.policy.learner.learn(batches)

    def hand_over(self) -> None:
        """Gives the learner's weights to the sampler, within the actor."""
        self.policy.sampler.load(self.policy.learner.weights())

    def save(self, folder: Path) -> None:
        """See `unigrpo.learner.Learner.save`."""
        self.policy.learner.save(folder)

    def export(self, folder: Path) -> None:
        """See `unigrpo.learner.Learner.export`."""
        self.policy.learner.export(folder)


class ReferenceWorker:
    """Hosts the frozen reference."""

    def __init__(self, config: TrainConfig):
        self.config = config

    def start(self) -> None:
        """Loads the reference."""
        set_threads(self.config.cluster.threads)
        self.reference = make_reference(self.config)

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """See `unigrpo.learner.Reference.logprobs`."""
        return self.reference.logprobs(batches)


class RewardWorker:
    """Hosts the scorer; it needs no model of ours and no GPU."""

    def __init__(self, config: TrainConfig):
        self.config = config

    def start(self) -> None:
        """Loads the rewards."""
        self.scorer = TaskScorer({name: task.rewards for name, task in tasks_of(self.config).items()})

    def score(self, rollouts: list[Rollout]) -> list[Scored]:
        """See `rewards.scorer.Scorer.score`."""
        return self.scorer.score(rollouts)
