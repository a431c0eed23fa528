"""Hidden states of the part of a sequence that is denoised, with or without keys and values kept between steps.

A rows, U of them that differ, T tokens, M of them whose states are asked for, D width.

Source: Fast-dLLM (arXiv:2505.22618), sections 3.2 and 3.3, for the caches.
"""

from typing import Literal

import torch
from torch import Tensor

from unigrpo.algo.likelihood import DenoisingModel, pad_free_positions
from unigrpo.models.keys_values import KeysValues
from unigrpo.models.llada import attention_mask

CacheKind = Literal["none", "prefix", "dual"]


class Trunk:
    """Runs the model on rows of one shape, and knows which tokens' keys and values a step takes from an earlier one."""

    def __init__(
        self, model: DenoisingModel, key_mask_AT: Tensor, cache: CacheKind = "none", refresh: int | None = None
    ):
        self.model, self.refresh = model, refresh
        self.cache: CacheKind = cache
        self.key_mask_AT, self.positions_AT = key_mask_AT, pad_free_positions(key_mask_AT)
        self.visible_A11T = attention_mask(key_mask_AT)
        self.kept: KeysValues | None = None
        self.age = 0
        """Steps since keys and values were made anew, that one counted."""

    def states(self, tokens_AT: Tensor, place: slice, slots_AM: Tensor, fresh: bool = False) -> Tensor:
        """Hidden states [A, M, D] of some tokens.

        Args:
            place: the part that is denoised; outside of it tokens are the same until the next fresh states.
            slots_AM: whose states, counted from the start of the part.
            fresh: nothing is taken from earlier steps.
        """
        if self.cache == "none":
            return self._run(tokens_AT, place.start + slots_AM)
        if fresh or (self.refresh and self.age >= self.refresh):
            self.kept, self.age = KeysValues(), 0
        assert self.kept is not None, "the first states are fresh"
        self.age += 1
        if self.age == 1:
            return self._run(tokens_AT, place.start + slots_AM)
        self.kept.window = slice(place.start, tokens_AT.shape[1] if self.cache == "prefix" else place.stop)
        return self._run(tokens_AT, slots_AM)

    def _run(self, tokens_AT: Tensor, asked_AM: Tensor) -> Tensor:
        return self.model.hidden_states(tokens_AT, self.visible_A11T, self.positions_AT, asked_AM, self.kept)

    def first_states(self, tokens_AT: Tensor, place: slice, slots_AM: Tensor) -> Tensor:
        """Fresh states, computed once for all rows that are the same, as those of a group are before the first step."""
        of_A = torch.unique(torch.cat([tokens_AT, self.key_mask_AT], 1), dim=0, return_inverse=True)[1]
        one_A = torch.full_like(of_A, -1).scatter_(0, of_A, torch.arange(len(of_A), device=of_A.device))
        one_U = one_A[one_A >= 0]
        if len(one_U) == len(of_A):
            return self.states(tokens_AT, place, slots_AM, fresh=True)
        alone = self.rows(one_U)
        states_UMD = alone.states(tokens_AT[one_U], place, slots_AM[one_U], fresh=True)
        self.kept, self.age = alone.kept and alone.kept.rows(of_A), alone.age
        return states_UMD[of_A]

    def rows(self, index: Tensor) -> "Trunk":
        """Goes on with some of the rows, by number."""
        trunk = Trunk(self.model, self.key_mask_AT[index], self.cache, self.refresh)
        trunk.kept, trunk.age = self.kept and self.kept.rows(index), self.age
        return trunk

    def without_cache(self, index: Tensor) -> "Trunk":
        """Runs some of the rows, by number, with nothing taken from earlier steps."""
        return Trunk(self.model, self.key_mask_AT[index])
