"""Log-probabilities of a batch's responses under its masks, by any policy.

B rollouts, b of them at a time, K draws, C response positions, T tokens, R = b x K.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unigrpo.algo.head import Slopes
from unigrpo.algo.likelihood import token_logprobs
from unigrpo.algo.noise import Views
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection
from unigrpo.memory import Portion

MICRO_BATCH = "algo.likelihood.micro_batch"


def parts_of(batch: Batch, size: int) -> list[slice]:
    """The rows of a batch, so many at a time."""
    return [slice(at, at + size) for at in range(0, len(batch), size)]


def _run(model, function: Callable, *args: Any) -> Any:
    """`function(model, *args)`; a model whose weights are sharded has a `run`, which brings them together for it."""
    return model.run(function, *args) if hasattr(model, "run") else function(model, *args)


def score_views(
    model,
    batch: Batch,
    views: Views | Sequence[Views],
    rows: slice,
    algo: AlgoSection,
    slopes: Slopes | None = None,
    in_place: bool = False,
) -> Tensor:
    """Log-probabilities [b, K, C] of some rows of the batch, each in its K masked copies, on the CPU like the batch.

    Args:
        views: of those rows; of several views the copies follow each other.
        slopes: foresees the gradient [b, K, C] of a loss by what this returns; see `unigrpo.algo.head.token_scores`.
        in_place: see there.
    """
    views = [views] if isinstance(views, Views) else views
    device = next(model.parameters()).device
    tokens_bT, visible_bT = batch.tokens_BT[rows], batch.key_mask_BT[rows]
    scored_bKC = torch.cat([it.scored_BKC for it in views], 1)
    size, draws, width = scored_bKC.shape
    prompt_width = tokens_bT.shape[1] - width
    input_bKT = torch.cat([_masked(tokens_bT, it, batch.mask_id) for it in views], 1)

    def spread(tensor_b: Tensor) -> Tensor:
        return tensor_b.repeat_interleave(draws, 0).to(device)

    unguided = None
    if algo.likelihood.guided and batch.guided:
        hidden = batch.unguided_BH.shape[1]
        unguided = _without_pads(
            torch.cat([batch.unguided_BH[rows, None].expand(-1, draws, -1), input_bKT[..., hidden:]], 2),
            torch.cat([batch.unguided_mask_BH[rows], visible_bT[:, hidden:]], 1),
        )
        unguided = unguided[0].flatten(0, 1).to(device), spread(unguided[1])
    for it, copies_bkT in zip(views, input_bKT.split([it.masked_BKC.shape[1] for it in views], 1), strict=True):
        if it.prompt_BP is not None:
            copies_bkT[..., :prompt_width].masked_fill_(it.prompt_BP[:, None], batch.mask_id)
    input_bKT, visible_bT = _without_pads(input_bKT, visible_bT)

    def foreseen(logprobs_RC: Tensor) -> Tensor:
        assert slopes is not None
        return slopes(logprobs_RC.view(size, draws, width).cpu()).flatten(0, 1).to(device)

    logprobs_RC = _run(
        model,
        token_logprobs,
        input_bKT.flatten(0, 1).to(device),
        spread(visible_bT),
        spread(tokens_bT[:, prompt_width:]),
        scored_bKC.flatten(0, 1).to(device),
        batch.supports,
        algo.likelihood.chunk,
        spread(batch.temperature_BS[rows]) if algo.likelihood.temperature == "sampled" else None,
        unguided,
        spread(batch.guidance_BS[rows]) if unguided else None,
        slopes and foreseen,
        in_place,
    )
    return logprobs_RC.view(size, draws, width).cpu()


def _masked(tokens_bT: Tensor, views: Views, mask_id: int) -> Tensor:
    """The copies [b, K, T] with masks in the response."""
    copies_bKT = tokens_bT[:, None].repeat(1, views.masked_BKC.shape[1], 1)
    copies_bKT[..., -views.masked_BKC.shape[2] :].masked_fill_(views.masked_BKC, mask_id)
    return copies_bKT


def _without_pads(ids_bKT: Tensor, visible_bT: Tensor) -> tuple[Tensor, Tensor]:
    """Without the leading positions that are pads in all rows. What follows a response the sampler saw, so it stays."""
    first = int(visible_bT.any(0).byte().argmax())
    return ids_bKT[..., first:], visible_bT[:, first:]


@torch.no_grad()
def frozen_logprobs(
    model, batches: Sequence[Batch], algo: AlgoSection, updates: range, portion: Portion | None = None
) -> list[list[Tensor]]:
    """Log-probabilities [B, K, C] of each batch, for each inner update, without gradient."""
    portion = portion or micro_batch(algo)
    # Sums in bfloat16 depend on the shapes: there all policies see the same ones, so that no ratio is off.
    exact = next(model.parameters()).dtype == torch.float32

    def scored(batch: Batch, update: int, part: slice) -> Tensor:
        return score_views(model, batch, batch.views(algo, update, part), part, algo)

    def whole(batch: Batch, size: int) -> list[Tensor]:
        if exact and updates and len(batch) * len(updates) <= size:
            views = [batch.views(algo, update) for update in updates]
            return list(score_views(model, batch, views, slice(None), algo).chunk(len(updates), 1))
        return [torch.cat([scored(batch, update, part) for part in parts_of(batch, size)]) for update in updates]

    found = [portion.run(lambda size, batch=batch: whole(batch, size)) for batch in batches]
    return [list(of_update) for of_update in zip(*found, strict=True)]


def micro_batch(algo: AlgoSection, splits: bool = True) -> Portion:
    """How many responses are scored at one time."""
    return Portion(MICRO_BATCH, algo.likelihood.micro_batch, splits)
