"""The masked-diffusion loss of LLaDA's and MMaDA's supervised stages.

B sequences, T tokens.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unigrpo.algo.random import uniform


def mask_probabilities(key: Tensor, count: int, low_discrepancy: bool, eps: float) -> Tensor:
    """Mask probabilities p = (1 - eps) t + eps of `count` sequences, float64.

    Args:
        key: int64 scalar.
        low_discrepancy: one random offset, then evenly spread over (0, 1), instead of independent t.

    Source: LLaDA (arXiv:2502.09992), algorithm 2; low-discrepancy t as in MDLM (arXiv:2406.07524).
    """
    order = torch.arange(count)
    t_B = (uniform(key, order[:1]) + order / count) % 1.0 if low_discrepancy else uniform(key, order)
    return (1 - eps) * t_B + eps


def _cross_entropy(model, hidden_nD: Tensor, targets_n: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(model.head_logits(hidden_nD), targets_n, reduction="none")


def sft_loss(
    model,
    input_BT: Tensor,
    key_mask_BT: Tensor | None,
    targets_BT: Tensor,
    masked_BT: Tensor,
    probability_BT: Tensor,
    answer_length_B: Tensor,
    sequences: int,
    chunk: int = 1024,
) -> Tensor:
    """Sum over masked tokens of cross-entropy / (p * answer length), divided by `sequences`; float32 scalar.

    Args:
        input_BT: ids with the mask id where masked.
        masked_BT: bool, the positions that are learned.
        probability_BT: probability with which each position was masked.
        answer_length_B: maskable positions of each sequence, its trained end-of-sequence padding included.
        sequences: sequences of the whole optimiser step, over micro-batches.
        chunk: rows of logits that exist at one time.

    Source: MMaDA (arXiv:2505.15809), equation 2, per answer length as in LLaDA's released guidelines.
    """
    hidden_nD = model.hidden_states(input_BT, key_mask_BT)[masked_BT]
    targets_n = targets_BT[masked_BT]
    weight_BT = (1 / (probability_BT * answer_length_B[:, None])).float().to(input_BT.device)
    weight_n = weight_BT[masked_BT]
    total = torch.zeros((), device=input_BT.device)
    for at in range(0, len(targets_n), chunk):
        part = slice(at, at + chunk)
        losses_n = checkpoint(_cross_entropy, model, hidden_nD[part], targets_n[part], use_reentrant=False)
        total = total + (losses_n * weight_n[part]).sum()
    return total / sequences
