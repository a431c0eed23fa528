"""What runs inside actors that hold a model: the local classes, built there. `actors.spawn` makes actors of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import ray
import torch
from ray import ObjectRef
from ray.actor import ActorHandle
from torch import Tensor

from actors.desk import Hosted
from rollout.colocated import Colocated, make_reference, policy_of, reference_model, sampler_of
from unigrpo.batch import Batch
from unigrpo.config import TrainConfig
from unigrpo.learner import Reference, Weights, frozen_logprobs, micro_batch
from unigrpo.types import Metrics, Prompt, Rollout

CHUNK_BYTES = 512 * 2**20
"""Weights are sent in objects of about this size, so that several nodes can fetch different ones at a time."""


class Kept(Protocol):
    """A learner, as far as it is saved."""

    def snapshot(self) -> None:
        """Takes hold of model and optimiser as they are."""
        ...

    def write(self, folder: Path) -> None:
        """Writes the last snapshot."""
        ...

    def export(self, folder: Path) -> None:
        """Writes a Hugging Face model folder."""
        ...


class Saving:
    """What every worker has whose learner is saved."""

    def keep(self, learner: Kept) -> None:
        """Says whose."""
        self.kept, self.writer = learner, ThreadPoolExecutor(1, "checkpoint")

    def snapshot(self) -> None:
        """See `Kept.snapshot`."""
        self.kept.snapshot()

    def begin_write(self, folder: Path) -> None:
        """Starts to write the snapshot, in a thread of its own: see `Kept.write`."""
        self.writing = self.writer.submit(self.kept.write, folder)

    def written(self) -> bool:
        """Whether it is written; raises what went wrong."""
        return self.writing.done() and self.writing.result() is None

    def export(self, folder: Path) -> None:
        """See `Kept.export`."""
        self.kept.export(folder)


class RemoteReference:
    """The reference policy in an actor of its own, as the learner sees it."""

    def __init__(self, actor: ActorHandle):
        self.actor = actor

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update a [B, K, C] tensor for each batch; the actor makes the same masks from their keys."""
        return ray.get(self.actor.run.remote("logprobs", batches))


@dataclass(frozen=True)
class Published:
    """Weights in Ray's object store: what rollout workers are handed instead of the weights themselves."""

    version: int
    parts: list[ObjectRef]
    """Each a dict of tensors by name."""


class PolicyWorker(Hosted, Saving):
    """Hosts the policy: its sampler and its learner, on one set of weights."""

    def __init__(
        self,
        config: TrainConfig,
        reference: ActorHandle | None,
        resume_from: Path | None,
        engine: dict[str, Any] | None = None,
    ):
        super().__init__(config)
        self.config = config
        self.policy = Colocated.build(
            config, RemoteReference(reference) if reference else None, resume_from, **(engine or {})
        )
        self.keep(self.policy.learner)

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

    def publish(self) -> tuple[int, list[ObjectRef]]:
        """Puts this rank's share of the weights, with LoRA of the adapters alone, where rollout workers find it."""
        weights, engine = self.policy.learner.weights(), self.policy.learner.engine
        names = [name for name in weights.tensors if ".lora_" in name or not self.config.model.lora.rank]
        chunks: list[dict[str, Tensor]] = []
        room = 0
        for name in islice(names, engine.rank, None, engine.world):
            tensor = weights.tensors[name].detach().cpu()
            if not chunks or room < tensor.nbytes:
                chunks.append({})
                room = CHUNK_BYTES
            chunks[-1][name] = tensor
            room -= tensor.nbytes
        return weights.version, [ray.put(chunk) for chunk in chunks]


class RolloutWorker(Hosted):
    """Hosts a sampler with a policy of its own, which it is sent the weights of."""

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        self.config = config
        self.sampler = sampler_of(policy_of(config.model, config), config)
        self.loaded: int | None = None
        self.portion = micro_batch(config.algo)

    def sample(
        self,
        weights: Published,
        prompts: Sequence[Prompt],
        group_size: int,
        step: int | str,
        temperature: float | None,
    ) -> list[Rollout]:
        """See `rollout.sampler.Sampler.sample`."""
        self.load(weights)
        return self.sampler.sample(prompts, group_size, step, temperature)

    def behaviour(self, weights: Published, batches: Sequence[Batch]) -> list[Tensor]:
        """For each batch the log-probabilities [B, U, K, C] that these weights give to its responses."""
        self.load(weights)
        algo = self.config.algo
        updates = frozen_logprobs(self.sampler.policy.model, batches, algo, range(algo.mu), self.portion)
        return [torch.stack(of_batch, 1) for of_batch in zip(*updates, strict=True)]

    def load(self, weights: Published) -> None:
        """Fetches weights that are others than the last ones."""
        if weights.version != self.loaded:
            for part in weights.parts:
                self.sampler.load(Weights(version=weights.version, tensors=ray.get(part)))
            self.loaded = weights.version


class ReferenceWorker(Hosted):
    """Hosts the frozen reference."""

    def __init__(self, config: TrainConfig, freeze: Callable[[Any], Any] | None = None):
        super().__init__(config)
        self.config = config
        if freeze:
            self.reference = Reference(freeze(reference_model(config)), config.algo, splits=False)
        else:
            self.reference = make_reference(config)
        self.device = next(self.reference.model.parameters()).device
        self._rest()

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """See `unigrpo.learner.Reference.logprobs`."""
        if self.config.cluster.sleep:
            self.reference.model.to(self.device)
        found = self.reference.logprobs(batches)
        self._rest()
        return found

    def _rest(self) -> None:
        """Leaves the GPU to the policy, which is another process: what torch only keeps for later counts too."""
        if self.config.cluster.sleep:
            self.reference.model.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
