"""Which tokens of a batch are masked for supervised fine-tuning, and what each of them weighs.

B sequences, T tokens.
"""

import torch
from torch import Tensor

from unigrpo.algo.noise import ratios
from unigrpo.algo.random import uniform
from unigrpo.config import SFTSection

TIME, PLACE, CONDITION = range(3)
"""What the random numbers of a batch are for; each adds to its key."""


def times(key: Tensor, count: int, low_discrepancy: bool) -> Tensor:
    """Diffusion times of `count` sequences, uniform in (0, 1), float64.

    Args:
        key: int64 scalar.
        low_discrepancy: one random offset, then evenly spread, instead of independent times.

    Source: low-discrepancy times as in MDLM (arXiv:2406.07524).
    """
    order = torch.arange(count)
    return (uniform(key + TIME, order[:1]) + order / count) % 1.0 if low_discrepancy else uniform(key + TIME, order)


def mask_text(key: Tensor, maskable_BT: Tensor, section: SFTSection) -> tuple[Tensor, Tensor]:
    """Mask each token with a probability p = (1 - eps) t + eps of its sequence.

    Returns:
        masked, [B, T] bool, and weights 1 / (p * answer length * B), [B] float64. The answer is all that is maskable.

    Source: LLaDA (arXiv:2502.09992), algorithm 2; MMaDA's `r2i` masks thought and image alike.
    """
    count = len(maskable_BT)
    p_B = (1 - section.eps) * times(key, count, section.low_discrepancy) + section.eps
    return (_places(key, maskable_BT) < p_B[:, None]) & maskable_BT, text_weights(p_B, maskable_BT)


def text_weights(p_B: Tensor, maskable_BT: Tensor) -> Tensor:
    """The weight 1 / (p * answer length * B) of each masked token, [B] float64."""
    return 1 / (p_B.double() * maskable_BT.sum(-1) * len(p_B))


def mask_images(key: Tensor, maskable_BT: Tensor, section: SFTSection) -> tuple[Tensor, Tensor]:
    """Mask max(1, round(cos(pi t / 2) N)) of the N codes of each image.

    Returns:
        masked, [B, T] bool, and weights that make the loss a mean over all masked codes, [B] float64.

    Source: MaskGIT (arXiv:2202.04200), section 3.3.
    """
    time_B = times(key, len(maskable_BT), section.low_discrepancy)
    ratio_B = ratios("cosine", time_B, update=0, mu=1)
    count_B = torch.floor(ratio_B * maskable_BT.sum(-1) + 0.5).clamp(min=1)
    order_BT = _places(key, maskable_BT).masked_fill(~maskable_BT, 2.0).argsort(-1).argsort(-1)
    masked_BT = order_BT < count_B[:, None]
    return masked_BT, image_weights(masked_BT)


def image_weights(learned_BT: Tensor) -> Tensor:
    """The weight of each position in a mean over all that are learned, [B] float64."""
    return (1 / learned_BT.sum().double()).expand(len(learned_BT))


def dropped(key: Tensor, count: int, share: float) -> list[bool]:
    """Which of `count` drawings lose their prompt."""
    return (uniform(key + CONDITION, torch.arange(count)) < share).tolist()


def _places(key: Tensor, maskable_BT: Tensor) -> Tensor:
    """A random number for each position."""
    return uniform(key + PLACE, torch.arange(maskable_BT.numel())).view(maskable_BT.shape)
