"""Parallel decoding of images: every masked code is proposed at each step, and the most confident stay.

B rows, X of them with those of guidance, T tokens, N codes of an image, M of them that may still be masked.

Source: MaskGIT (arXiv:2202.04200), section 3.2; guidance as in MMaDA (arXiv:2505.15809).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rollout.draw import Draw, Drawn
from rollout.schedule import choice_temperatures, masked_shares
from rollout.trunk import Trunk
from unigrpo.algo.likelihood import DenoisingModel
from unigrpo.algo.random import bits, gumbel
from unigrpo.config import ImageSamplingSection
from unigrpo.types import Support

CHOICE = 2


class Decoded(NamedTuple):
    """Codes, and how they came about."""

    ids_BN: Tensor
    commit_BN: Tensor
    """The step after which each stayed, -1 where it was given."""
    logprobs_BN: Tensor
    """Log-probability of each by the distribution it was drawn from, float32; 0 where it was given."""
    exact_BN: Tensor
    """The same without kept keys and values, NaN where that was not computed, float32."""


@torch.no_grad()
def decode(
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
) -> Decoded:
    """Fills the masked codes of each row.

    Args:
        tokens_BT: ids; in `place` the mask id where a code is to be drawn, and codes that are kept as they are.
        key_mask_BT: bool, False on pads; they are never seen.
        keys_B: int64; all randomness of a row is a function of its key, so its neighbours cannot change it.
        unguided: ids and key mask of the same rows with an empty prompt, which guidance starts from.
        callback: called after each step with its number and the ids [B, N] so far, masks included.

    Raises:
        ValueError: there is guidance, and nothing that it starts from.
    """
    tokens_XT, mask_XT = _views(tokens_BT, key_mask_BT, unguided, settings.guidance)
    trunk = Trunk(model, mask_XT, settings.cache, settings.cache_refresh)
    draw = Draw(model, support, settings.temperature, settings.guidance, check=settings.cache_check)
    codes_BN = tokens_BT[:, place].clone()
    none_BN = torch.zeros(codes_BN.shape, device=codes_BN.device)
    found = Decoded(codes_BN, torch.full_like(codes_BN, -1), none_BN, none_BN * torch.nan)
    masked_BN = codes_BN == mask_id
    # Counted on the host, which then knows how many are masked at each step without asking the device.
    unknown_B = masked_B = masked_BN.sum(-1).cpu()
    open_BM, open_too_BM = _first(masked_BN, int(masked_B.max()))
    noise = choice_temperatures(settings)
    for step, share in enumerate(masked_shares(settings)):
        if open_BM.shape[1]:
            tokens_XT[:, place] = codes_BN.repeat(len(tokens_XT) // len(codes_BN), 1)
            counters_BM = step * codes_BN.shape[1] + open_BM
            drawn = draw(trunk, tokens_XT, place, open_BM, keys_B, counters_BM, first=step == 0)
            score_BM = drawn.confidence.log() + noise[step] * _choice_noise(keys_B, counters_BM)
            order_BM = score_BM.masked_fill(~open_too_BM, math.inf).argsort(dim=-1, stable=True)
            left_B = _still_masked(unknown_B, masked_B, share)
            again_BM = order_BM.argsort(-1) < left_B.to(order_BM.device)[:, None]
            _write(found, open_BM, drawn, open_too_BM & ~again_BM, step)
            masked_B = torch.minimum(left_B, masked_B)
            open_BM, open_too_BM = _remaining(open_BM, again_BM & open_too_BM, int(masked_B.max()))
        if callback is not None:
            callback(step, codes_BN)
    return found


def _views(
    tokens_BT: Tensor, key_mask_BT: Tensor, unguided: tuple[Tensor, Tensor] | None, guidance: float
) -> tuple[Tensor, Tensor]:
    """Ids and key mask of all rows that the model sees, those with an empty prompt last."""
    if guidance <= 0:
        return tokens_BT.clone(), key_mask_BT
    if unguided is None:
        raise ValueError(f"guidance is {guidance}, but there are no rows with an empty prompt: give `unguided`.")
    return torch.cat([tokens_BT, unguided[0]]), torch.cat([key_mask_BT, unguided[1]])


def _first(masked_BN: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The slots [B, M] that are masked, in order, and which of these there are: rows may have fewer than others."""
    open_BM = masked_BN.int().argsort(dim=-1, descending=True, stable=True)[:, :width]
    return open_BM, masked_BN.gather(1, open_BM)


def _remaining(open_BM: Tensor, again_BM: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The slots that are masked again."""
    at_BM, there_BM = _first(again_BM, width)
    return open_BM.gather(1, at_BM), there_BM


def _write(found: Decoded, open_BM: Tensor, drawn: Drawn, kept_BM: Tensor, step: int) -> None:
    """Writes the codes that stay; the slots of a row differ from each other, so each is written once."""
    columns = drawn.ids, torch.full_like(drawn.ids, step), drawn.logprobs.float(), drawn.exact.float()
    for whole_BN, new_BM in zip(found, columns, strict=True):
        whole_BN.scatter_(1, open_BM, torch.where(kept_BM, new_BM, whole_BN.gather(1, open_BM)))


def _choice_noise(keys_B: Tensor, counters_BM: Tensor) -> Tensor:
    return gumbel(bits(keys_B, torch.full_like(keys_B, CHOICE))[:, None], counters_BM)


def _still_masked(unknown_B: Tensor, masked_B: Tensor, share: float) -> Tensor:
    """How many codes of each row stay masked: a share of those it began with, and at least 1 before the last step."""
    if share == 0:
        return torch.zeros_like(unknown_B)
    # In float32, as the published counts are: cos(pi / 3) is a little below a half there.
    count_B = (unknown_B.float() * share).floor().long()
    return torch.minimum(count_B, masked_B - 1).clamp(min=1)
