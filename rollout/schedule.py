"""How many tokens a denoising step commits, and which ones.

B rows, S positions of a block, or steps of an image.

Source: LLaDA (arXiv:2502.09992), low-confidence remasking; Fast-dLLM (arXiv:2505.22618) for the threshold.
"""

import itertools
import math
import operator

import torch
from torch import Tensor

from unigrpo.config import ImageSamplingSection


def commit_counts(masked: int, steps: int) -> list[int]:
    """Splits `masked` tokens evenly over `steps`; the first steps take the remainder."""
    return [masked // steps + (step < masked % steps) for step in range(steps)]


def most_confident(confidence_BS: Tensor, count: int) -> Tensor:
    """True at the `count` largest values of each row; positions at -inf are never chosen."""
    chosen = torch.zeros_like(confidence_BS, dtype=torch.bool)
    top = confidence_BS.topk(min(count, confidence_BS.shape[1]), -1)
    return chosen.scatter_(1, top.indices, top.values > float("-inf"))


def above_threshold(confidence_BS: Tensor, threshold: float) -> Tensor:
    """True where the confidence is at least `threshold`, and always at the largest value of a row."""
    return (confidence_BS >= threshold) | most_confident(confidence_BS, 1)


def within_entropy(confidence_BS: Tensor, bound: float) -> Tensor:
    """True at the most certain positions whose entropies, without the largest of them, sum to at most `bound`.

    Args:
        confidence_BS: negative entropies in nats, -inf where nothing is to be chosen; the best position always is.

    Source: EB-Sampler (arXiv:2505.24857), equation 7.
    """
    entropy_BS, order_BS = (-confidence_BS).sort(dim=-1, stable=True)
    # Sorted, the largest of the first k entropies is the k-th: the others are those before it.
    before_BS = entropy_BS.cumsum(-1) - entropy_BS
    chosen_BS = (before_BS <= bound) & entropy_BS.isfinite()
    return torch.zeros_like(chosen_BS).scatter_(1, order_BS, chosen_BS)


def masked_shares(settings: ImageSamplingSection) -> list[float]:
    """Share of an image's codes that is still masked after each step; 0 after the last.

    Source: MaskGIT (arXiv:2202.04200), section 3.3; the sigmoid as in MMaDA's code.
    """
    # Divided on the host, for some devices have no float64.
    progress_S = torch.tensor([step / settings.steps for step in range(1, settings.steps)])
    if settings.schedule == "cosine":
        shares_S = torch.cos(progress_S * math.pi * 0.5)
    elif settings.schedule == "linear":
        shares_S = 1 - progress_S
    elif settings.schedule == "pow":
        shares_S = 1 - progress_S**settings.power
    else:
        start, end = torch.sigmoid(torch.tensor([3.0, -3.0]))
        shares_S = (start - torch.sigmoid(6 * progress_S - 3)) / (start - end)
    return [*shares_S.clamp(1e-6, 1.0).tolist(), 0.0]


def choice_temperatures(settings: ImageSamplingSection) -> list[float]:
    """Factor of the noise on the confidence at each step: fading with the progress, or with the product of all so far.

    Source: MaskGIT (arXiv:2202.04200) for `linear`; MMaDA's code for `compound`.
    """
    fading = [1 - step / settings.steps for step in range(1, settings.steps + 1)]
    if settings.choice_schedule == "compound":
        fading = list(itertools.accumulate(fading, operator.mul))
    return [settings.choice_temperature * factor for factor in fading]
