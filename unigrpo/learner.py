"""The learner: log-probabilities under shared masks, then mu optimiser updates on one batch.

B rollouts, K draws, C response positions, T tokens.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from unigrpo.algo.likelihood import token_logprobs
from unigrpo.algo.noise import Views
from unigrpo.algo.objective import policy_loss
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection
from unigrpo.engine import Engine
from unigrpo.errors import TrainingError
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import adapters_off
from unigrpo.state import save_state
from unigrpo.types import Metrics

RATIO_LIMIT = 1e-3
CHECKED_ROWS = 8


class ReferencePolicy(Protocol):
    """Whoever can score a batch under the frozen reference: in this process, or in an actor of its own."""

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update one [B, K, C] tensor for each batch."""
        ...


def _parts(batch: Batch, size: int) -> Iterator[slice]:
    return (slice(at, at + size) for at in range(0, len(batch), size))


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
    if algo.likelihood.guided and batch.guidance_BS.any():
        hidden = batch.unguided_BH.shape[1]
        kept_RT, visible_RT = input_bKT.flatten(0, 1)[:, hidden:].to(device), spread(batch.key_mask_BT[rows])
        unguided = (
            torch.cat([spread(batch.unguided_BH[rows]), kept_RT], 1),
            torch.cat([spread(batch.unguided_mask_BH[rows]), visible_RT[:, hidden:]], 1),
        )
    if views.prompt_BP is not None:
        input_bKT[..., :prompt_width].masked_fill_(views.prompt_BP[:, None], batch.mask_id)
    logprobs = token_logprobs(
        model,
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
def frozen_logprobs(model, batches: Sequence[Batch], algo: AlgoSection, updates: range) -> list[list[Tensor]]:
    """Log-probabilities [B, K, C] of each batch, for each inner update, without gradient."""

    def whole(batch: Batch, update: int) -> Tensor:
        parts = _parts(batch, algo.likelihood.micro_batch)
        return torch.cat([score_views(model, batch, batch.views(algo, update, part), part, algo) for part in parts])

    return [[whole(batch, update) for batch in batches] for update in updates]


class Reference:
    """The frozen policy that the KL holds the learner to: a model of its own, or the learner's with adapters off."""

    def __init__(self, model, algo: AlgoSection, shares_model: bool = False):
        self.model, self.algo, self.shares_model = model, algo, shares_model

    def logprobs(self, batches: Sequence[Batch]) -> list[list[Tensor]]:
        """For each inner update one [B, K, C] tensor for each batch."""
        with adapters_off(self.model) if self.shares_model else nullcontext():
            return frozen_logprobs(self.model, batches, self.algo, range(self.algo.mu))


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """The policy after `version` batches: live tensors by name, not a copy."""

    version: int
    tensors: dict[str, Tensor]


class Learner:
    """Turns batches into updates of the policy's weights."""

    def __init__(self, policy: Policy, engine: Engine, algo: AlgoSection, reference: ReferencePolicy | None):
        self.policy, self.engine, self.algo, self.reference = policy, engine, algo, reference
        self.model = policy.model

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
        reference = self.reference.logprobs(batches) if self.reference and algo.beta else None
        deviation = max(self._first_deviation(batch) for batch in batches)
        old = frozen_logprobs(self.model, batches, algo, range(1, algo.mu))
        updates = [
            self.engine.step(
                lambda n=n: self._backward(batches, n, old[n - 1] if n else None, reference[n] if reference else None)
            )
            for n in range(algo.mu)
        ]
        return _summary(updates) | {"policy/first_ratio_deviation": deviation}

    def weights(self) -> Weights:
        """What a sampler's `load` takes."""
        return Weights(version=self.version, tensors=self.policy.model.state_dict())

    def save(self, folder: Path) -> None:
        """Writes policy and optimiser, for the run to go on from."""
        save_state(self.policy, self.engine, folder)

    def export(self, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder, adapters merged."""
        save_policy(self.policy, folder)

    def _first_deviation(self, batch: Batch) -> float:
        """Largest |ratio - 1| on the first responses before any update; dropout or other chance would show."""
        rows = slice(0, min(CHECKED_ROWS, self.algo.likelihood.micro_batch))
        views = batch.views(self.algo, 0, rows)
        with_gradient = score_views(self.model, batch, views, rows, self.algo).detach()
        with torch.no_grad():
            without = score_views(self.model, batch, views, rows, self.algo)
        deviation = float((with_gradient - without).exp().sub(1).abs().max())
        if deviation > RATIO_LIMIT:
            raise TrainingError(
                f"Before the first update the ratio of the policy to itself deviates from 1 by {deviation:.2g} (limit "
                f"{RATIO_LIMIT}): the model is not deterministic. Is dropout on?"
            )
        return deviation

    def _backward(
        self, batches: Sequence[Batch], update: int, old: list[Tensor] | None, reference: list[Tensor] | None
    ) -> Metrics:
        algo, totals = self.algo, {}
        responses = sum(len(batch) for batch in batches)
        tokens = sum(int(batch.views(algo, update).scored_BKC.sum()) for batch in batches)
        for index, batch in enumerate(batches):
            for rows in _parts(batch, algo.likelihood.micro_batch):
                views = batch.views(algo, update, rows)
                logprobs = score_views(self.model, batch, views, rows, algo)
                loss, sums = policy_loss(
                    logprobs,
                    logprobs.detach() if old is None else old[index][rows],
                    None if reference is None else reference[index][rows],
                    batch.advantages_B[rows],
                    views,
                    batch.lengths_B[rows],
                    algo,
                    responses=responses,
                    tokens=tokens,
                )
                if loss.requires_grad:
                    loss.backward()
                for name, value in sums.items():
                    totals[name] = totals.get(name, 0.0) + float(value)
        return totals


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
