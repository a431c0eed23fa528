"""Rollouts that are drawn together, in one batch of one task.

B rows, P prompt positions, C response positions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.random import key
from unigrpo.batch import left_pad
from unigrpo.config import SamplingSection
from unigrpo.models.load import Policy
from unigrpo.types import Prompt, Sampling

Watch = Callable[[Literal["text", "image"], Tensor], None]
"""Is told, after each denoising step, what is being written and the ids [B, C] of it so far, masks included."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """Prompts, for each the index of its rollout in the group, and their ids as tensors on the policy's device."""

    prompts: list[Prompt]
    indices: list[int]
    tokens_BP: Tensor
    mask_BP: Tensor
    settings: SamplingSection

    @classmethod
    def of(cls, jobs: Sequence[tuple[Prompt, int]], settings: SamplingSection, policy: Policy) -> "Jobs":
        """Pads the prompts on the left."""
        device = next(policy.model.parameters()).device
        tokens_BP, mask_BP = left_pad([prompt.tokens for prompt, _ in jobs], policy.ids.pad)
        return cls(
            [job[0] for job in jobs], [job[1] for job in jobs], tokens_BP.to(device), mask_BP.to(device), settings
        )

    def __len__(self) -> int:
        return len(self.prompts)

    def keys(self, seed: int, step: int | str, purpose: str) -> Tensor:
        """One key [B] for each rollout, from which all its randomness of one purpose derives."""
        rows = zip(self.prompts, self.indices, strict=True)
        keys = [key(seed, str(step), prompt.id, index, purpose) for prompt, index in rows]
        return torch.tensor(keys, device=self.tokens_BP.device)

    @property
    def sampling(self) -> Sampling:
        """The settings as a rollout records them."""
        settings = self.settings
        return Sampling(
            temperature=settings.temperature,
            guidance=settings.guidance,
            gen_length=settings.gen_length,
            block_length=settings.block_length,
            image_temperature=settings.image.temperature,
            image_guidance=settings.image.guidance,
        )


def response_length(tokens_C: np.ndarray, eos: int, tail: int) -> tuple[int, bool]:
    """Tokens up to and including the first end-of-sequence and at most `tail` more of them, and whether it ended."""
    ends = np.flatnonzero(tokens_C == eos)
    if not len(ends):
        return len(tokens_C), False
    stop = int(ends[0]) + 1
    while stop < len(tokens_C) and stop - ends[0] <= tail and tokens_C[stop] == eos:
        stop += 1
    return stop, True
