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
        rewards_PG: rewards, G at least 2.
        kind: a value of `AlgoSection.advantage`.
        psi: temperature of `wd1`.
    """
    rewards_PG = rewards_PG.double()
    alive_P1 = (rewards_PG.amax(-1) - rewards_PG.amin(-1) > EQUAL)[:, None]
    centred_PG = torch.where(alive_P1, rewards_PG - rewards_PG.mean(-1, keepdim=True), 0.0)
    group = rewards_PG.shape[-1]
    if kind == "dr_grpo":
        return centred_PG
    if kind == "rloo":
        return centred_PG * group / (group - 1)
    if kind == "reinforce++":
        scale = centred_PG.pow(2).mean().sqrt()
        return centred_PG / scale if scale > 0 else centred_PG
    deviation_P1 = centred_PG.pow(2).mean(-1, keepdim=True).sqrt()
    zscore_PG = centred_PG / torch.where(alive_P1, deviation_P1, 1.0)
    if kind == "wd1":
        return group * ((zscore_PG / psi).softmax(-1) - (-zscore_PG / psi).softmax(-1))
    return zscore_PG
