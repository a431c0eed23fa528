"""The learner: log-probabilities under shared masks, then mu optimiser updates on one batch.

B rollouts, K draws, C response positions.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from unigrpo.algo.objective import each_for_itself, policy_loss
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection
from unigrpo.engine import Engine
from unigrpo.errors import TrainingError
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import adapters_off
from unigrpo.scores import frozen_logprobs, micro_batch, parts_of, score_views
from unigrpo.state import Snapshot, writing
from unigrpo.types import Metrics

RATIO_LIMIT = 1e-3
CHECKED_ROWS = 2


class ReferencePolicy(Protocol):
    """Whoever can score a batch under the frozen reference: in this process, or in an actor of its own."""

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update one [B, K, C] tensor for each batch."""
        ...


def earning(batches: Sequence[Batch], algo: AlgoSection) -> list[Batch]:
    """Without the rows that add exactly nothing to the gradient; one at least stays, so that there is a gradient.

    Without a KL these are those of advantage 0, unless the loss is a distance to it.
    """
    if algo.beta or algo.ratio == "regress":
        return list(batches)
    found = [batch.of(batch.advantages_B.nonzero()[:, 0]) for batch in batches]
    return [batch for batch in found if len(batch)] or [batches[0].of(torch.tensor([0]))]


class Reference:
    """The frozen policy that the KL holds the learner to: a model of its own, or the learner's with adapters off."""

    def __init__(self, model, algo: AlgoSection, shares_model: bool = False, splits: bool = True):
        self.model, self.algo, self.shares_model = model, algo, shares_model
        self.portion = micro_batch(algo, splits)

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update one [B, K, C] tensor for each batch."""
        with adapters_off(self.model) if self.shares_model else nullcontext():
            return frozen_logprobs(self.model, batches, self.algo, range(self.algo.mu), self.portion)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """The policy after `version` batches: live tensors by name, not a copy."""

    version: int
    tensors: dict[str, Tensor]


class Learner:
    """Turns batches into updates of the policy's weights; of several that train together, each takes its share."""

    def __init__(self, policy: Policy, engine: Engine, algo: AlgoSection, reference: ReferencePolicy | None):
        self.policy, self.engine, self.algo, self.reference = policy, engine, algo, reference
        self.model = engine.module
        self.portion = micro_batch(algo, splits=engine.starts_over)
        self.taken: Snapshot | None = None

    @property
    def version(self) -> int:
        """Batches learned, over all the run's processes."""
        return self.engine.step_count // self.algo.mu

    def learn(self, batches: Sequence[Batch]) -> Metrics:
        """Makes mu updates on one step's batches; each shares its masks with the old policy and the reference.

        Raises:
            TrainingError: before the first update the ratio of the policy to itself is not 1, or losses are not finite
                too often in a row.
        """
        algo = self.algo
        self.engine.release(self.policy.model)
        shares = self._shares(batches)
        counts = [self._count(shares, n) for n in range(algo.mu)]
        batches = [batch.by_length() for batch in self._shares(earning(batches, algo))]
        reference = self.reference.logprobs(batches) if self.reference and algo.beta else None
        deviation = self._first_deviation(batches)
        old = self._old(batches)
        updates = [
            self.engine.step(
                lambda n=n: self._backward(batches, n, old[n], reference[n] if reference else None, **counts[n])
            )
            for n in range(algo.mu)
        ]
        return _summary(updates) | {"policy/first_ratio_deviation": deviation}

    def weights(self) -> Weights:
        """What a sampler's `load` takes."""
        self.engine.fill(self.policy.model)
        return Weights(version=self.version, tensors=self.policy.model.state_dict())

    def snapshot(self) -> None:
        """Takes hold of policy and optimiser as they are, for `write`."""
        self.engine.fill(self.policy.model)
        self.taken = Snapshot.of(self.policy, self.engine)

    def write(self, folder: Path) -> None:
        """Writes the last snapshot, for the run to go on from; learning may go on meanwhile."""
        taken, self.taken = self.taken, None
        assert taken is not None, "nothing was taken hold of"
        taken.write(folder)

    def export(self, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder, adapters merged."""
        self.engine.fill(self.policy.model)
        if self.engine.rank == 0:
            with writing(folder):
                save_policy(self.policy, folder)

    def _old(self, batches: Sequence[Batch]) -> list[list[Tensor] | None]:
        """For each update the log-probabilities under the policy that sampled.

        That is the policy as it is now, so that the first update needs none; or what was recorded, if it has moved on.
        """
        if any(batch.behaviour_BUKC is not None for batch in batches):
            recorded = [batch.behaviour_BUKC for batch in batches if batch.behaviour_BUKC is not None]
            return [[behaviour[:, n] for behaviour in recorded] for n in range(self.algo.mu)]
        return [None, *frozen_logprobs(self.model, batches, self.algo, range(1, self.algo.mu), self.portion)]

    def _first_deviation(self, batches: Sequence[Batch]) -> float:
        """Largest |ratio - 1| on the first responses before any update; dropout or other chance would show."""

        def deviation(batch: Batch, size: int) -> float:
            rows = slice(0, min(CHECKED_ROWS, size))
            views = batch.views(self.algo, 0, rows)
            with_gradient = score_views(self.model, batch, views, rows, self.algo).detach()
            with torch.no_grad():
                without = score_views(self.model, batch, views, rows, self.algo)
            return float((with_gradient - without).exp().sub(1).abs().max())

        found = self.portion.run(lambda size: max(deviation(batch, size) for batch in batches))
        found = self.engine.largest(found)
        if found > RATIO_LIMIT:
            raise TrainingError(
                f"Before the first update the ratio of the policy to itself deviates from 1 by {found:.2g} (limit "
                f"{RATIO_LIMIT}): the model is not deterministic. Is dropout on?"
            )
        return found

    def _shares(self, batches: Sequence[Batch]) -> list[Batch]:
        return [batch.share(self.engine.rank, self.engine.world) for batch in batches]

    def _count(self, batches: Sequence[Batch], update: int) -> dict[str, float]:
        """Responses of the whole step, and their scored tokens in one update; these are shares of it."""
        scored = [batch.views(self.algo, update, slice(batch.rows)).scored_BKC.sum() for batch in batches]
        return self.engine.total(
            {"responses": sum(batch.rows for batch in batches), "tokens": float(sum(scored, torch.tensor(0)))}
        )

    def _backward(
        self,
        batches: Sequence[Batch],
        update: int,
        old: list[Tensor] | None,
        reference: list[Tensor] | None,
        **count: float,
    ) -> Metrics:
        """Adds up the gradient of one update; where memory runs out it starts again with smaller parts.

        Args:
            count: what the means of the loss divide by.
        """

        def attempt(size: int) -> Metrics:
            self.engine.clear()
            totals: Metrics = {}
            parts = [(index, rows) for index, batch in enumerate(batches) for rows in parts_of(batch, size)]
            for at, (index, rows) in enumerate(parts):
                frozen = [None if given is None else given[index][rows] for given in (old, reference)]
                loss, sums = self._part(batches[index], update, rows, *frozen, **count)
                self.engine.backward(loss, last=at == len(parts) - 1)
                for name, value in sums.items():
                    totals[name] = totals.get(name, 0.0) + float(value)
            return totals

        return self.portion.run(attempt)

    def _part(
        self,
        batch: Batch,
        update: int,
        rows: slice,
        old_BKC: Tensor | None,
        reference_BKC: Tensor | None,
        *,
        responses: float,
        tokens: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of some rows, and its sums; rows of padding are scored, so that all keep step, and left out."""
        views = batch.views(self.algo, update, rows)
        real = slice(max(0, min(rows.stop, batch.rows) - rows.start))
        kept = slice(rows.start, rows.start + real.stop)

        def loss_of(logprobs_BKC: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            return policy_loss(
                logprobs_BKC[real],
                (logprobs_BKC.detach() if old_BKC is None else old_BKC)[real],
                None if reference_BKC is None else reference_BKC[real],
                batch.advantages_B[kept],
                views.of(real),
                batch.lengths_B[kept],
                self.algo,
                responses=responses,
                tokens=tokens,
                importance_BC=None if batch.importance_BC is None else batch.importance_BC[kept],
            )

        def slopes(logprobs_BKC: Tensor) -> Tensor:
            with torch.enable_grad():
                logprobs_BKC = logprobs_BKC.detach().requires_grad_()
                return torch.autograd.grad(loss_of(logprobs_BKC)[0], logprobs_BKC)[0]

        one_chunk = len(batch.supports) == 1 and int(views.scored_BKC.sum()) <= self.algo.likelihood.chunk
        known = slopes if one_chunk or each_for_itself(self.algo) else None
        # Where gradients simply add up, and a failed attempt starts over, they may do so ahead of the backward pass.
        in_place = self.engine.starts_over
        logprobs_BKC = score_views(self.model, batch, views, rows, self.algo, known, in_place)
        loss, sums = loss_of(logprobs_BKC)
        return (loss if real.stop else 0 * logprobs_BKC.sum()), sums


def _summary(updates: list[Metrics]) -> Metrics:
    """Means over the inner updates that were made, by scored token where that is what is meant."""
    always = {"optim/skipped": sum(update["skipped"] for update in updates), "optim/lr": updates[-1]["lr"]}
    updates = [update for update in updates if not update["skipped"]]
    if not updates:
        return always
    tokens = sum(update["tokens"] for update in updates)

    def mean(name: str) -> float:
        return sum(update[name] for update in updates) / len(updates)

    metrics = {
        "policy/loss": mean("loss"),
        "policy/ratio": sum(update["ratio"] for update in updates) / tokens,
        "policy/clip_fraction": sum(update["clipped"] for update in updates) / tokens,
        "policy/logprob": sum(update["logprob"] for update in updates) / tokens,
        "policy/tokens": tokens,
        "optim/grad_norm": mean("grad_norm"),
    }
    return always | metrics | ({"policy/kl": mean("kl")} if "kl" in updates[0] else {})
