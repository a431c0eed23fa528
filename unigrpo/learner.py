"""The learner: log-probabilities under shared masks, then mu optimiser updates on one batch.

B rollouts, K draws, C response positions, T tokens.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from unigrpo.algo.likelihood import token_logprobs
from unigrpo.algo.noise import Views
from unigrpo.algo.objective import policy_loss
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection
from unigrpo.engine import Engine
from unigrpo.errors import TrainingError
from unigrpo.memory import Portion
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import adapters_off
from unigrpo.state import Snapshot, writing
from unigrpo.types import Metrics

RATIO_LIMIT = 1e-3
CHECKED_ROWS = 8
MICRO_BATCH = "algo.likelihood.micro_batch"


class ReferencePolicy(Protocol):
    """Whoever can score a batch under the frozen reference: in this process, or in an actor of its own."""

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update one [B, K, C] tensor for each batch."""
        ...


def _parts(batch: Batch, size: int) -> list[slice]:
    return [slice(at, at + size) for at in range(0, len(batch), size)]


def _run(model, function: Callable, *args: Any) -> Any:
    """`function(model, *args)`; a model whose weights are sharded has a `run`, which brings them together for it."""
    return model.run(function, *args) if hasattr(model, "run") else function(model, *args)


def score_views(model, batch: Batch, views: Views, rows: slice, algo: AlgoSection) -> Tensor:
    """Log-probabilities [b, K, C] of some rows of the batch, each in its K masked copies, on the CPU like the batch."""
    device = next(model.parameters()).device
    tokens_bT, masked_bKC = batch.tokens_BT[rows], views.masked_BKC
    size, draws, width = masked_bKC.shape
    prompt_width = tokens_bT.shape[1] - width
    input_bKT = tokens_bT[:, None].repeat(1, draws, 1)
    input_bKT[..., prompt_width:].masked_fill_(masked_bKC, batch.mask_id)

    def spread(tensor_b: Tensor) -> Tensor:
        return tensor_b.repeat_interleave(draws, 0).to(device)

    unguided = None
    if algo.likelihood.guided and batch.guided:
        hidden = batch.unguided_BH.shape[1]
        kept_RT, visible_RT = input_bKT.flatten(0, 1)[:, hidden:].to(device), spread(batch.key_mask_BT[rows])
        unguided = (
            torch.cat([spread(batch.unguided_BH[rows]), kept_RT], 1),
            torch.cat([spread(batch.unguided_mask_BH[rows]), visible_RT[:, hidden:]], 1),
        )
    if views.prompt_BP is not None:
        input_bKT[..., :prompt_width].masked_fill_(views.prompt_BP[:, None], batch.mask_id)
    logprobs = _run(
        model,
        token_logprobs,
        input_bKT.flatten(0, 1).to(device),
        spread(batch.key_mask_BT[rows]),
        spread(tokens_bT[:, prompt_width:]),
        views.scored_BKC.flatten(0, 1).to(device),
        batch.supports,
        algo.likelihood.chunk,
        spread(batch.temperature_BS[rows]) if algo.likelihood.temperature == "sampled" else None,
        unguided,
        spread(batch.guidance_BS[rows]) if unguided else None,
    )
    return logprobs.view(size, draws, width).cpu()


@torch.no_grad()
def frozen_logprobs(
    model, batches: Sequence[Batch], algo: AlgoSection, updates: range, portion: Portion | None = None
) -> list[list[Tensor]]:
    """Log-probabilities [B, K, C] of each batch, for each inner update, without gradient."""
    portion = portion or micro_batch(algo)

    def whole(batch: Batch, update: int) -> Tensor:
        return portion.run(lambda size: torch.cat([scored(batch, update, part) for part in _parts(batch, size)]))

    def scored(batch: Batch, update: int, part: slice) -> Tensor:
        return score_views(model, batch, batch.views(algo, update, part), part, algo)

    return [[whole(batch, update) for batch in batches] for update in updates]


def micro_batch(algo: AlgoSection, splits: bool = True) -> Portion:
    """How many responses are scored at one time."""
    return Portion(MICRO_BATCH, algo.likelihood.micro_batch, splits)


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
        batches = [batch.share(self.engine.rank, self.engine.world) for batch in batches]
        reference = self.reference.logprobs(batches) if self.reference and algo.beta else None
        deviation = self._first_deviation(batches)
        old = self._old(batches)
        updates = [
            self.engine.step(lambda n=n: self._backward(batches, n, old[n], reference[n] if reference else None))
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

    def _backward(
        self, batches: Sequence[Batch], update: int, old: list[Tensor] | None, reference: list[Tensor] | None
    ) -> Metrics:
        """Adds up the gradient of one update; where memory runs out it starts again with smaller parts."""
        scored = [batch.views(self.algo, update, slice(batch.rows)).scored_BKC.sum() for batch in batches]
        count = self.engine.total(
            {"responses": sum(batch.rows for batch in batches), "tokens": float(sum(scored, torch.tensor(0)))}
        )

        def attempt(size: int) -> Metrics:
            self.engine.clear()
            totals: Metrics = {}
            parts = [(index, rows) for index, batch in enumerate(batches) for rows in _parts(batch, size)]
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
        logprobs_BKC = score_views(self.model, batch, views, rows, self.algo)
        real = slice(max(0, min(rows.stop, batch.rows) - rows.start))
        kept = slice(rows.start, rows.start + real.stop)
        loss, sums = policy_loss(
            logprobs_BKC[real],
            (logprobs_BKC.detach() if old_BKC is None else old_BKC)[real],
            None if reference_BKC is None else reference_BKC[real],
            batch.advantages_B[kept],
            views.of(real),
            batch.lengths_B[kept],
            self.algo,
            responses=responses,
            tokens=tokens,
        )
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
