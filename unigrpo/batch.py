"""From scored rollouts to the tensors one step learns from.

B rollouts, P prompt positions (left-padded), C response positions, T = P + C.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.advantage import advantages
from unigrpo.algo.noise import Views, make_views
from unigrpo.algo.random import key
from unigrpo.config import AlgoSection
from unigrpo.types import Scored, Support


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """All rollouts of one step. Masks are not in it: they are a function of `keys_B`."""

    tokens_BT: Tensor
    """int64: pads, prompt, response, then the mask ids the sampler saw after the response."""
    key_mask_BT: Tensor
    """bool, False on the pads."""
    lengths_B: Tensor
    """int64, tokens of each response."""
    commit_BC: Tensor
    """int64, the denoising step of each response token."""
    keys_B: Tensor
    """int64, the key of each rollout's masks."""
    advantages_B: Tensor
    """float32."""
    temperature_B: Tensor
    """float32, as sampled."""
    guidance_B: Tensor
    """float32, as sampled."""
    mask_id: int
    support: Support

    @property
    def width(self) -> int:
        """Response positions C."""
        return self.commit_BC.shape[1]

    @property
    def prompt_BP(self) -> Tensor:
        """bool, the real prompt tokens."""
        return self.key_mask_BT[:, : -self.width]

    def __len__(self) -> int:
        return len(self.lengths_B)

    def views(self, algo: AlgoSection, update: int, rows: slice = slice(None)) -> Views:
        """The masks of one inner update, for some rows; the same wherever and however often they are asked for."""
        return make_views(
            self.keys_B[rows],
            self.lengths_B[rows],
            self.commit_BC[rows],
            self.prompt_BP[rows],
            algo.noise,
            update,
            algo.mu,
        )


def left_pad(sequences: Sequence[np.ndarray], pad: int) -> tuple[Tensor, Tensor]:
    """Ids [B, P] padded on the left to the longest, and a bool mask [B, P] that is False on the pads."""
    width = max(len(ids) for ids in sequences)
    tokens_BP = torch.full((len(sequences), width), pad, dtype=torch.long)
    mask_BP = torch.zeros((len(sequences), width), dtype=torch.bool)
    for row, ids in enumerate(sequences):
        if len(ids):
            tokens_BP[row, -len(ids) :] = torch.tensor(ids)
            mask_BP[row, -len(ids) :] = True
    return tokens_BP, mask_BP


def make_batch(
    scored: Sequence[Scored],
    group_size: int,
    algo: AlgoSection,
    *,
    seed: int,
    mask_id: int,
    pad_id: int,
    support: Support,
) -> Batch:
    """Builds the batch of one step.

    Args:
        scored: rollouts of one prompt next to each other, `group_size` of each.
        seed: the run's seed; with the rollout's id it gives the key of its masks.
    """
    rollouts = [item.rollout for item in scored]
    width = max(rollout.sampling.gen_length for rollout in rollouts)
    prompts_BP, real_BP = left_pad([rollout.prompt.tokens for rollout in rollouts], pad_id)
    response_BC = torch.full((len(rollouts), width), mask_id, dtype=torch.long)
    commit_BC = torch.zeros((len(rollouts), width), dtype=torch.long)
    for row, rollout in enumerate(rollouts):
        response_BC[row, : len(rollout.tokens)] = torch.tensor(rollout.tokens)
        commit_BC[row, : len(rollout.tokens)] = torch.tensor(rollout.commit_step)
    rewards_PG = torch.tensor([item.reward for item in scored], dtype=torch.float64).view(-1, group_size)
    return Batch(
        tokens_BT=torch.cat([prompts_BP, response_BC], 1),
        key_mask_BT=torch.cat([real_BP, torch.ones_like(response_BC, dtype=torch.bool)], 1),
        lengths_B=torch.tensor([len(rollout.tokens) for rollout in rollouts]),
        commit_BC=commit_BC,
        keys_B=torch.tensor([key(seed, rollout.id, "masks") for rollout in rollouts]),
        advantages_B=advantages(rewards_PG, algo.advantage, algo.psi).flatten().float(),
        temperature_B=torch.tensor([rollout.sampling.temperature for rollout in rollouts], dtype=torch.float32),
        guidance_B=torch.tensor([rollout.sampling.guidance for rollout in rollouts], dtype=torch.float32),
        mask_id=mask_id,
        support=support,
    )
