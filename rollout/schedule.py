"""How many tokens a denoising step commits, and which ones.

B rows, S positions of a block.

Source: LLaDA (arXiv:2502.09992), low-confidence remasking; Fast-dLLM (arXiv:2505.22618) for the threshold.
"""

import torch
from torch import Tensor


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
