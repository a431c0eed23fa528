"""How much better a response is than the others of its group.

P prompts, G rollouts of each.

Source: GRPO (arXiv:2402.03300) and MMaDA equation 15; Dr.GRPO (arXiv:2503.20783); RLOO (arXiv:2402.14740); REINFORCE++
(arXiv:2501.03262); wd1 (arXiv:2507.08838).
"""

import torch
from torch import Tensor

EQUAL = 1e-9
"""Rewards that lie no further apart are equal."""


def advantages(rewards_PG: Tensor, kind: str, psi: float = 1.0) -> Tensor:
    """Advantages [P, G] in float64; exactly 0 for a group whose rewards are all equal.

    Args:
        rewards_PG: rewards, G at least 2. One that is NaN is not known: the others are compared without it, and its own
            advantage is NaN.
        kind: a value of `AlgoSection.advantage`.
        psi: temperature of `wd1`.
    """
    rewards_PG = rewards_PG.double()
    known_PG = rewards_PG.isfinite()
    count_P1 = known_PG.sum(-1, keepdim=True)
    values_PG = rewards_PG.nan_to_num(0.0)
    highest_P = values_PG.where(known_PG, -torch.inf).amax(-1)
    lowest_P = values_PG.where(known_PG, torch.inf).amin(-1)
    alive_P1 = (highest_P - lowest_P > EQUAL)[:, None]
    mean_P1 = values_PG.sum(-1, keepdim=True) / count_P1.clamp(min=1)
    centred_PG = torch.where(alive_P1 & known_PG, values_PG - mean_P1, 0.0)
    return _scaled(centred_PG, known_PG, count_P1, alive_P1, kind, psi).where(known_PG, torch.nan)


def _scaled(centred_PG: Tensor, known_PG: Tensor, count_P1: Tensor, alive_P1: Tensor, kind: str, psi: float) -> Tensor:
    if kind == "dr_grpo":
        return centred_PG
    if kind == "rloo":
        return centred_PG * count_P1 / (count_P1 - 1).clamp(min=1)
    if kind == "reinforce++":
        scale = (centred_PG.pow(2).sum() / known_PG.sum().clamp(min=1)).sqrt()
        return centred_PG / scale if scale > 0 else centred_PG
    deviation_P1 = (centred_PG.pow(2).sum(-1, keepdim=True) / count_P1.clamp(min=1)).sqrt()
    zscore_PG = centred_PG / torch.where(alive_P1, deviation_P1, 1.0)
    if kind == "wd1":
        better_PG, worse_PG = ((sign * zscore_PG / psi).masked_fill(~known_PG, -torch.inf) for sign in (1, -1))
        return count_P1 * (better_PG.softmax(-1) - worse_PG.softmax(-1))
    return zscore_PG
