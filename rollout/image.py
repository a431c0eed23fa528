"""Parallel decoding of images: every masked code is proposed at each step, and the most confident stay.

B rows, T tokens, N codes of an image, n masked codes of the batch, V codes of the codebook.

Source: MaskGIT (arXiv:2202.04200), section 3.2; guidance as in MMaDA (arXiv:2505.15809).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rollout.schedule import choice_temperatures, masked_shares
from unigrpo.algo.likelihood import DenoisingModel, guided_logits, pad_free_positions
from unigrpo.algo.random import bits, gumbel
from unigrpo.config import ImageSamplingSection
from unigrpo.types import Support

CHOICE = 1
ELEMENTS_AT_ONCE = 1 << 25

Views = list[tuple[Tensor, Tensor]]
"""Ids and key mask [B, T] of the prompt's rows, and with guidance of rows with an empty prompt."""


@torch.no_grad()
def draw(
    model: DenoisingModel,
    tokens_BT: Tensor,
    key_mask_BT: Tensor,
    place: slice,
    keys_B: Tensor,
    settings: ImageSamplingSection,
    mask_id: int,
    support: Support,
    unguided: tuple[Tensor, Tensor] | None = None,
    callback: Callable[[int, Tensor], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Fills the masked codes of each row.

    Args:
        tokens_BT: ids; in `place` the mask id where a code is to be drawn, and codes that are kept as they are.
        key_mask_BT: bool, False on pads; they are never seen.
        keys_B: int64; all randomness of a row is a function of its key, so its neighbours cannot change it.
        unguided: ids and key mask of the same rows with an empty prompt, which guidance starts from.
        callback: called after each step with its number and the ids [B, N] so far, masks included.

    Returns:
        Ids of the codes [B, N], and the step after which each stayed [B, N], -1 where it was given.

    Raises:
        ValueError: there is guidance, and nothing that it starts from.
    """
    views = [(tokens_BT.clone(), key_mask_BT)]
    if settings.guidance > 0:
        if unguided is None:
            raise ValueError(
                f"guidance is {settings.guidance}, but there are no rows with an empty prompt: give `unguided`."
            )
        views.append((unguided[0].clone(), unguided[1]))
    codes_BN = tokens_BT[:, place].clone()
    commit_BN = torch.full_like(codes_BN, -1)
    unknown_B = (codes_BN == mask_id).sum(-1)
    noise = choice_temperatures(settings)
    for step, share in enumerate(masked_shares(settings)):
        masked_BN = codes_BN == mask_id
        if masked_BN.any():
            for ids_BT, _ in views:
                ids_BT[:, place] = codes_BN
            proposed_BN, confidence_BN = _propose(model, views, place, masked_BN, keys_B, step, settings, support)
            confidence_BN = confidence_BN + noise[step] * _choice_noise(keys_B, step, masked_BN)
            again_BN = _lowest(confidence_BN, masked_BN, _still_masked(unknown_B, masked_BN.sum(-1), share))
            kept_BN = masked_BN & ~again_BN
            codes_BN = torch.where(kept_BN, proposed_BN, codes_BN)
            commit_BN = commit_BN.masked_fill(kept_BN, step)
        if callback is not None:
            callback(step, codes_BN)
    return codes_BN, commit_BN


def _propose(
    model,
    views: Views,
    place: slice,
    masked_BN: Tensor,
    keys_B: Tensor,
    step: int,
    settings: ImageSamplingSection,
    support: Support,
) -> tuple[Tensor, Tensor]:
    """A code for each masked slot and its log-probability, both [B, N]."""
    ids_XT, mask_XT = (torch.cat(parts) for parts in zip(*views, strict=True))
    hidden_XN = model.hidden_states(ids_XT, mask_XT, pad_free_positions(mask_XT))[:, place]
    hidden = [part[masked_BN] for part in hidden_XN.chunk(len(views))]
    row_n, slot_n = masked_BN.nonzero(as_tuple=True)
    counters_n = step * masked_BN.shape[1] + slot_n
    chunk = max(1, ELEMENTS_AT_ONCE // (support.stop - support.start))
    codes, scores = [], []
    for at in range(0, len(row_n), chunk):
        part = slice(at, at + chunk)
        logits_nV = model.head_logits(hidden[0][part], support)
        if len(hidden) == 2:
            logits_nV = guided_logits(logits_nV, model.head_logits(hidden[1][part], support), settings.guidance)
        chosen_n = _draw(logits_nV, settings.temperature, keys_B[row_n[part]], counters_n[part])
        codes.append(chosen_n + support.start)
        scores.append(logits_nV.log_softmax(-1).gather(-1, chosen_n[:, None])[:, 0])
    proposed_BN = torch.zeros_like(masked_BN, dtype=torch.long).masked_scatter(masked_BN, torch.cat(codes))
    confidence_BN = torch.zeros_like(masked_BN, dtype=torch.float32).masked_scatter(masked_BN, torch.cat(scores))
    return proposed_BN, confidence_BN


def _draw(logits_nV: Tensor, temperature: float, keys_n: Tensor, counters_n: Tensor) -> Tensor:
    """A sample of softmax(logits / temperature) for each row; the largest at temperature 0."""
    if temperature == 0:
        return logits_nV.argmax(-1)
    codes_V = torch.arange(logits_nV.shape[1], device=logits_nV.device)
    noise_nV = gumbel(keys_n[:, None], counters_n[:, None] * logits_nV.shape[1] + codes_V)
    return (logits_nV.to(noise_nV.dtype) + temperature * noise_nV).argmax(-1)


def _choice_noise(keys_B: Tensor, step: int, masked_BN: Tensor) -> Tensor:
    slots_N = torch.arange(masked_BN.shape[1], device=keys_B.device) + step * masked_BN.shape[1]
    return gumbel(bits(keys_B, torch.full_like(keys_B, CHOICE))[:, None], slots_N[None])


def _still_masked(unknown_B: Tensor, masked_B: Tensor, share: float) -> Tensor:
    """How many codes of each row stay masked: a share of those it began with, and at least 1 before the last step."""
    if share == 0:
        return torch.zeros_like(unknown_B)
    # In float32, as the published counts are: cos(pi / 3) is a little below a half there.
    count_B = (unknown_B.float() * share).floor().long()
    return torch.minimum(count_B, masked_B - 1).clamp(min=1)


def _lowest(confidence_BN: Tensor, masked_BN: Tensor, count_B: Tensor) -> Tensor:
    """True at the `count` least confident masked codes of each row."""
    ranks_BN = confidence_BN.masked_fill(~masked_BN, math.inf).argsort(dim=-1, stable=True).argsort(-1)
    return (ranks_BN < count_B[:, None]) & masked_BN
