"""Semi-autoregressive denoising of text: blocks from left to right, the most confident tokens of a block first.

B rows, A rows that are still denoised, P prompt positions, C response positions, F positions that follow (F may be 0),
T = P + C + F, S positions of a block, M of them that may still be masked.

Source: LLaDA (arXiv:2502.09992), section 2.4; block decoding and guidance as in MMaDA (arXiv:2505.15809).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rollout.draw import Draw, Drawn
from rollout.schedule import above_threshold, commit_counts, within_entropy
from rollout.trunk import Trunk
from unigrpo.algo.likelihood import DenoisingModel
from unigrpo.config import SamplingSection
from unigrpo.types import Support


class Denoised(NamedTuple):
    """Responses, and how they came about."""

    tokens_BC: Tensor
    """Ids; the mask id where a position stayed masked."""
    commit_BC: Tensor
    """The step of its row at which each was committed, -1 where a position stayed masked."""
    logprobs_BC: Tensor
    """Log-probability of each by the distribution it was drawn from, float32; 0 where a position stayed masked."""
    exact_BC: Tensor
    """The same without kept keys and values, NaN where that was not computed, float32."""
    steps_B: Tensor
    """Steps that each row has had: its own count, so that its neighbours cannot change it."""


@dataclass(eq=False)
class _Canvas:
    """All rows as far as they are; what is still denoised is named by the numbers of its rows."""

    tokens_BT: Tensor
    done: Denoised
    keys_B: Tensor
    prompt_width: int

    def place(self, block: slice) -> slice:
        """Where a block of the response lies in `tokens_BT`."""
        return slice(self.prompt_width + block.start, self.prompt_width + block.stop)

    def commit(self, rows_X: Tensor, slots_X: Tensor, drawn: Drawn, chosen: Tensor | tuple[Tensor, Tensor]) -> None:
        """Writes what was drawn at some slots of the response, each with the number of its row."""
        ids_X = drawn.ids[chosen]
        self.tokens_BT[rows_X, self.prompt_width + slots_X] = ids_X
        self.done.tokens_BC[rows_X, slots_X] = ids_X
        self.done.commit_BC[rows_X, slots_X] = self.done.steps_B[rows_X]
        self.done.logprobs_BC[rows_X, slots_X] = drawn.logprobs[chosen].float()
        self.done.exact_BC[rows_X, slots_X] = drawn.exact[chosen].float()


@dataclass(frozen=True, eq=False)
class _Denoiser:
    """What all steps have in common."""

    draw: Draw
    canvas: _Canvas
    key_mask_BT: Tensor
    settings: SamplingSection
    mask_id: int
    callback: Callable[[Tensor], None] | None

    def block(self, rows_A: Tensor, block: slice) -> None:
        """Denoises one block of some rows."""
        mask_AT = self.key_mask_BT[rows_A]
        if self.settings.guidance > 0:
            mask_AT = mask_AT.repeat(2, 1)
        trunk = Trunk(self.draw.model, mask_AT, self.settings.cache, self.settings.cache_refresh)
        slots_AS = torch.arange(block.start, block.stop, device=rows_A.device).expand(len(rows_A), -1)
        if self.settings.adaptive:
            self._by_confidence(trunk, rows_A, block, slots_AS)
        else:
            self._by_count(trunk, rows_A, block, slots_AS)

    def _by_count(self, trunk: Trunk, rows_A: Tensor, block: slice, open_AM: Tensor) -> None:
        """Commits fixed numbers of tokens, so that all rows are in step and the device is never waited for."""
        settings, canvas, size = self.settings, self.canvas, block.stop - block.start
        steps = (settings.steps or settings.gen_length) // (settings.gen_length // settings.block_length)
        for number, count in enumerate(commit_counts(size, steps)):
            if not count:
                break
            drawn = self._propose(trunk, rows_A, block, open_AM, fresh=number == 0)
            order_AM = drawn.confidence.argsort(dim=-1, descending=True, stable=True)
            best_AX = order_AM[:, :count]
            canvas.commit(
                rows_A[:, None].expand_as(best_AX),
                open_AM.gather(1, best_AX),
                drawn,
                (torch.arange(len(rows_A), device=rows_A.device)[:, None], best_AX),
            )
            self._count_step(rows_A)
            open_AM = open_AM.gather(1, order_AM[:, count:].sort(-1).values)

    def _by_confidence(self, trunk: Trunk, rows_A: Tensor, block: slice, open_AM: Tensor) -> None:
        """Commits what is certain enough; a row that has no masks left waits for the next block at no cost."""
        settings, canvas, fresh = self.settings, self.canvas, True
        masked_AM = torch.ones_like(open_AM, dtype=torch.bool)
        while True:
            drawn = self._propose(trunk, rows_A, block, open_AM, fresh)
            # Of a model that has broken down nothing compares, and no block would ever end.
            confidence_AM = drawn.confidence.nan_to_num(nan=0.0).masked_fill(~masked_AM, float("-inf"))
            if settings.threshold:
                chosen_AM = above_threshold(confidence_AM, settings.threshold)
            else:
                chosen_AM = within_entropy(confidence_AM, settings.entropy_bound or 0.0)
            canvas.commit(rows_A[:, None].expand_as(open_AM)[chosen_AM], open_AM[chosen_AM], drawn, chosen_AM)
            self._count_step(rows_A)
            masked_AM, fresh = masked_AM & ~chosen_AM, False
            left_A = masked_AM.sum(-1)
            width = int(left_A.max())
            if not width:
                return
            going_A = left_A.nonzero()[:, 0]
            if len(going_A) < len(rows_A):
                both = torch.cat([going_A, going_A + len(rows_A)]) if settings.guidance > 0 else going_A
                trunk, rows_A = trunk.rows(both), rows_A[going_A]
                open_AM, masked_AM = open_AM[going_A], masked_AM[going_A]
            first_AM = masked_AM.int().argsort(dim=-1, descending=True, stable=True)[:, :width]
            open_AM, masked_AM = open_AM.gather(1, first_AM), masked_AM.gather(1, first_AM)

    def _count_step(self, rows_A: Tensor) -> None:
        self.canvas.done.steps_B[rows_A] += 1
        if self.callback is not None:
            self.callback(self.canvas.done.tokens_BC)

    def _propose(self, trunk: Trunk, rows_A: Tensor, block: slice, open_AM: Tensor, fresh: bool) -> Drawn:
        """A candidate [A, M] for each slot that may be masked."""
        settings, canvas = self.settings, self.canvas
        tokens_XT = canvas.tokens_BT[rows_A]
        if settings.guidance > 0:
            unguided_AT = tokens_XT.clone()
            unguided_AT[:, : canvas.prompt_width] = self.mask_id
            tokens_XT = torch.cat([tokens_XT, unguided_AT])
        return self.draw(
            trunk,
            tokens_XT,
            canvas.place(block),
            open_AM - block.start,
            canvas.keys_B[rows_A],
            canvas.done.steps_B[rows_A][:, None] * settings.gen_length + open_AM,
            fresh,
            first=fresh and block.start == 0,
        )


@torch.no_grad()
def denoise(
    model: DenoisingModel,
    prompt_BP: Tensor,
    prompt_mask_BP: Tensor,
    keys_B: Tensor,
    settings: SamplingSection,
    mask_id: int,
    support: Support,
    eos_id: int | None = None,
    following_BF: Tensor | None = None,
    callback: Callable[[Tensor], None] | None = None,
) -> Denoised:
    """Fills `gen_length` masked positions after each prompt.

    Args:
        prompt_BP: ids, padded on the left.
        prompt_mask_BP: bool, False on the pads; they are never seen.
        keys_B: int64; all randomness of a row is a function of its key, so its neighbours cannot change it.
        eos_id: rows that hold this id after a block are finished, if `settings.early_stop`; later blocks stay masked.
        following_BF: ids that stand after the response, such as the masks of an image to be drawn.
        callback: called after each step with the ids [B, C] so far, masks included.
    """
    rows, width = len(prompt_BP), settings.gen_length
    response_BC = torch.full((rows, width), mask_id, dtype=torch.long, device=prompt_BP.device)
    after_BX = response_BC if following_BF is None else torch.cat([response_BC, following_BF], 1)
    none_BC = torch.zeros(response_BC.shape, device=prompt_BP.device)
    done = Denoised(
        response_BC, torch.full_like(response_BC, -1), none_BC, none_BC * torch.nan, torch.zeros_like(keys_B)
    )
    canvas = _Canvas(torch.cat([prompt_BP, after_BX], 1), done, keys_B, prompt_BP.shape[1])
    key_mask_BT = torch.cat([prompt_mask_BP, torch.ones_like(after_BX, dtype=torch.bool)], 1)
    draw = Draw(model, support, settings.temperature, settings.guidance, settings.confidence, settings.cache_check)
    denoiser = _Denoiser(draw, canvas, key_mask_BT, settings, mask_id, callback)
    rows_A = torch.arange(rows, device=prompt_BP.device)
    for start in range(0, width, settings.block_length):
        denoiser.block(rows_A, slice(start, start + settings.block_length))
        if settings.early_stop and eos_id is not None:
            rows_A = rows_A[~(response_BC[rows_A] == eos_id).any(-1)]
            if not len(rows_A):
                break
    return done
