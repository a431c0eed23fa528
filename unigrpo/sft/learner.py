"""What turns shares of a step into updates of a model, alone or as one of several processes that train together.

B sequences, T tokens.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from unigrpo.config import SFTConfig
from unigrpo.data.protocols import Images
from unigrpo.engine import Engine
from unigrpo.memory import Portion
from unigrpo.models.ids import IdTable
from unigrpo.models.load import Policy, save_policy
from unigrpo.sft.batches import SFTBatch
from unigrpo.sft.ema import RunningMean
from unigrpo.sft.loss import learned, sft_loss
from unigrpo.sft.recipe import recipes_of
from unigrpo.sft.shares import Lot, Share
from unigrpo.state import Snapshot, restore_optimizer, restore_weights, writing
from unigrpo.types import Metrics

MICRO_BATCH = "sft.micro_batch"


def batch_loss(engine: Engine, ids: IdTable, batch: SFTBatch, ends: bool = False) -> Tensor:
    """The part of a step's loss that comes from some sequences of one stream.

    Args:
        ends: the two ends of an image are learned too, though they are seen.
    """
    device = next(engine.module.parameters()).device
    tokens_BT, masked_BT = batch.tokens_BT.to(device), batch.masked_BT.to(device)
    return engine.run(
        sft_loss,
        tokens_BT.masked_fill(masked_BT, ids.mask),
        None if batch.key_mask_BT.all() else batch.key_mask_BT.to(device),
        tokens_BT,
        learned(batch, ids, ends).to(device),
        batch.weight_B,
    )


class SFTLearner:
    """A model in supervised fine-tuning, its optimiser, and the running mean of its weights."""

    def __init__(self, config: SFTConfig, policy: Policy, engine: Engine, images: Images | None):
        self.policy, self.engine = policy, engine
        self.accumulation = config.sft.accumulation
        self.recipes = recipes_of(config, policy.ids, images)
        self.mean = RunningMean(engine, config.sft.ema) if config.sft.ema else None
        # Which rows come at one time is decided for all processes together.
        self.portion = Portion(MICRO_BATCH, config.sft.micro_batch, splits=False)
        self.taken: Callable[[Path], None] | None = None

    @classmethod
    def build(
        cls,
        config: SFTConfig,
        policy: Policy,
        images: Images | None,
        resume_from: Path | None = None,
        engine_of: Callable[..., Engine] = Engine,
        shards_weights: bool = False,
    ) -> "SFTLearner":
        """One that trains a policy, from a checkpoint when the run goes on.

        Args:
            engine_of: what makes the engine of a model, the optimiser's settings and the number of steps.
            shards_weights: the engine leaves the model in pieces, so that a copy of it is saved.
        """
        if resume_from:
            restore_weights(policy, resume_from)
        trained = policy.model
        if shards_weights:
            # From the host the engine takes the pieces of each rank: no GPU need hold the model whole.
            trained.to(device="cpu")  # pyright: ignore[reportCallIssue]
            policy = replace(policy, model=deepcopy(trained).to(device="meta"))  # pyright: ignore[reportCallIssue]
        engine = engine_of(trained, config.optim, config.steps)
        learner = cls(config, policy, engine, images)
        if resume_from:
            restore_optimizer(engine, resume_from)
            if learner.mean:
                learner.mean.load(resume_from)
        return learner

    def learn(self, share: Share) -> Metrics:
        """Makes one optimiser step of a share of it.

        Raises:
            OutOfMemoryError: the rows of one forward are too many.
        """
        found = self.engine.step(lambda: self.portion.run(lambda _: self._backward(share)))
        if self.mean and not found["skipped"]:
            self.mean.update()
        optim = {f"optim/{name}": found.pop(name) for name in ("grad_norm", "lr", "skipped") if name in found}
        return {f"sft/{name}": value for name, value in found.items()} | optim

    def measure(self, share: Share) -> Metrics:
        """The held-out loss of each stream that a share has, and their weighted sum; that of the running mean too."""
        found = {f"sft/held_out_{name}": value for name, value in self._judge(share).items()}
        if self.mean:
            with self.mean.used():
                found["sft/held_out_loss_ema"] = self._judge(share)["loss"]
        return found

    def snapshot(self) -> None:
        """Takes hold of model, optimiser and mean as they are, for `write`."""
        self.engine.fill(self.policy.model)
        weights = Snapshot.of(self.policy, self.engine)
        self.engine.release(self.policy.model)
        means = self.mean.snapshot() if self.mean else None

        def write(folder: Path) -> None:
            weights.write(folder)
            if means:
                with writing(folder):
                    means(folder)

        self.taken = write

    def write(self, folder: Path) -> None:
        """Writes the last snapshot, for the run to go on from; learning may go on meanwhile."""
        taken, self.taken = self.taken, None
        assert taken is not None, "nothing was taken hold of"
        taken(folder)

    def export(self, folder: Path, mean: bool = False) -> None:
        """Writes the model as a Hugging Face folder, adapters merged.

        Args:
            mean: with the running mean of the weights in place of the weights.
        """
        with self.mean.used() if mean and self.mean else nullcontext():
            self.engine.fill(self.policy.model)
            if self.engine.rank == 0:
                with writing(folder):
                    save_policy(self.policy, folder)
        self.engine.release(self.policy.model)

    def _backward(self, share: Share) -> Metrics:
        """Accumulates the gradient of the weighted sum of the losses; returns it, with the mean loss of each stream.

        The loss of a stream is its mean over those batches of the step that have it. All are sums over this share.
        """
        sums, samples = dict.fromkeys(share.batches, 0.0), 0
        for number, (lot, batch) in enumerate(self._parts(share), start=1):
            recipe = self.recipes[lot.stream]
            loss = batch_loss(self.engine, self.policy.ids, batch, recipe.ends)
            factor = recipe.coefficient / self.accumulation if lot.counts else 0.0
            self.engine.backward(factor * loss, last=number == share.forwards)
            sums[lot.stream] += float(loss.detach()) * lot.counts
            samples += len(batch) * lot.counts
        total = sum(self.recipes[name].coefficient * found for name, found in sums.items()) / self.accumulation
        means = {f"loss/{name}": found / share.batches[name] for name, found in sums.items() if name}
        return {"loss": total, **means, "samples": float(samples)}

    def _parts(self, share: Share, judging: bool = False) -> Iterator[tuple[Lot, SFTBatch]]:
        """The rows of each forward."""
        for lot in share.lots:
            recipe = self.recipes[lot.stream]
            batch = (recipe.judging() if judging else recipe).batch(lot.samples)
            for rows in lot.parts:
                yield lot, batch.rows(rows)

    @torch.no_grad()
    def _judge(self, share: Share) -> Metrics:
        sums = dict.fromkeys(share.batches, 0.0)
        for lot, batch in self._parts(share, judging=True):
            loss = batch_loss(self.engine, self.policy.ids, batch, self.recipes[lot.stream].ends)
            sums[lot.stream] += float(loss) * lot.counts
        means = {name: found / share.batches[name] for name, found in self.engine.total(sums).items()}
        total = sum(self.recipes[name].coefficient * loss for name, loss in means.items())
        return {"loss": total} | {f"loss/{name}": loss for name, loss in means.items() if name}
