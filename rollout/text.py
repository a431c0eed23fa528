"""Semi-autoregressive denoising of text: blocks from left to right, the most confident tokens of a block first.

B rows, P prompt positions, C response positions, F positions that follow (F may be 0), T = P + C + F, S positions of a
block, n masked positions, V ids of the support.

Source: LLaDA (arXiv:2502.09992), section 2.4; block decoding and guidance as in MMaDA (arXiv:2505.15809).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rollout.schedule import above_threshold, commit_counts, most_confident
from unigrpo.algo.likelihood import DenoisingModel, guided_logits, pad_free_positions
from unigrpo.algo.random import bits, gumbel, uniform
from unigrpo.config import SamplingSection
from unigrpo.types import Support

CONFIDENCE = 1
ELEMENTS_AT_ONCE = 1 << 25


@dataclass(eq=False)
class _State:
    """Rows that are still being denoised; `rows` are their places in the result."""

    tokens_BT: Tensor
    commit_BC: Tensor
    key_mask_BT: Tensor
    keys_B: Tensor
    step_B: Tensor
    """Steps that each row has had: its own count, so that its neighbours cannot change it."""
    rows: Tensor
    prompt_width: int

    def keep(self, alive_B: Tensor) -> "_State":
        kept = {name: value[alive_B] for name, value in vars(self).items() if name != "prompt_width"}
        return _State(**kept, prompt_width=self.prompt_width)

    def place(self, block: slice) -> slice:
        """Where a block of the response lies in `tokens_BT`."""
        return slice(self.prompt_width + block.start, self.prompt_width + block.stop)

    @property
    def response_BC(self) -> Tensor:
        """The response so far."""
        return self.tokens_BT[:, self.place(slice(0, self.commit_BC.shape[1]))]


def _confidence(logits_nV: Tensor, chosen_n: Tensor, kind: str, keys_n: Tensor, counters_n: Tensor) -> Tensor:
    if kind == "random":
        return uniform(bits(keys_n, torch.full_like(keys_n, CONFIDENCE)), counters_n)
    logprobs_nV = logits_nV.to(torch.float32 if logits_nV.device.type == "mps" else torch.float64).log_softmax(-1)
    if kind == "margin":
        best = logprobs_nV.exp().topk(2, -1).values
        return best[:, 0] - best[:, 1]
    if kind == "entropy":
        return (logprobs_nV.exp() * logprobs_nV.clamp(min=-1e4)).sum(-1)
    return logprobs_nV.gather(-1, chosen_n[:, None])[:, 0].exp()


def _draw(logits_nV: Tensor, settings: SamplingSection, keys_n: Tensor, counters_n: Tensor) -> tuple[Tensor, Tensor]:
    """A token for each masked position and the confidence in it; both from float64 numbers."""
    noisy_nV = logits_nV
    if settings.temperature > 0:
        ids_V = torch.arange(logits_nV.shape[1], device=logits_nV.device)
        noise_nV = gumbel(keys_n[:, None], counters_n[:, None] * logits_nV.shape[1] + ids_V)
        noisy_nV = logits_nV.to(noise_nV.dtype) + settings.temperature * noise_nV
    chosen_n = noisy_nV.argmax(-1)
    return chosen_n, _confidence(logits_nV, chosen_n, settings.confidence, keys_n, counters_n)


def _propose(model, state: _State, block: slice, settings: SamplingSection, mask_id: int, support: Support):
    """Candidate tokens [B, S] of a block and the confidence in each, -inf where a token is committed already."""
    place, width = state.place(block), state.commit_BC.shape[1]
    masked_BS = state.tokens_BT[:, place] == mask_id
    inputs = [state.tokens_BT]
    if settings.guidance > 0:
        inputs.append(state.tokens_BT.clone())
        inputs[1][:, : state.prompt_width] = mask_id
    positions_BT = pad_free_positions(state.key_mask_BT)
    hidden = [model.hidden_states(ids, state.key_mask_BT, positions_BT)[:, place][masked_BS] for ids in inputs]

    row_n, offset_n = masked_BS.nonzero(as_tuple=True)
    keys_n = state.keys_B[row_n]
    counters_n = state.step_B[row_n] * width + block.start + offset_n
    chunk = max(1, ELEMENTS_AT_ONCE // (support.stop - support.start))
    tokens, confidences = [], []
    for at in range(0, len(row_n), chunk):
        part = slice(at, at + chunk)
        logits_nV = model.head_logits(hidden[0][part], support)
        if settings.guidance > 0:
            logits_nV = guided_logits(logits_nV, model.head_logits(hidden[1][part], support), settings.guidance)
        chosen_n, confidence_n = _draw(logits_nV, settings, keys_n[part], counters_n[part])
        tokens.append(chosen_n + support.start)
        confidences.append(confidence_n)
    candidates_BS = state.tokens_BT[:, place].masked_scatter(masked_BS, torch.cat(tokens))
    confidence_BS = torch.full(masked_BS.shape, float("-inf"), dtype=confidences[0].dtype, device=masked_BS.device)
    return candidates_BS, confidence_BS.masked_scatter(masked_BS, torch.cat(confidences))


def _denoise_block(
    model, state: _State, block: slice, settings: SamplingSection, mask_id: int, support: Support
) -> None:
    """Denoises one block in place."""
    place, size = state.place(block), block.stop - block.start
    blocks = settings.gen_length // settings.block_length
    steps = size if settings.threshold else (settings.steps or settings.gen_length) // blocks
    for count in commit_counts(size, steps):
        active_B = (state.tokens_BT[:, place] == mask_id).any(-1)
        if not active_B.any():
            break
        candidates_BS, confidence_BS = _propose(model, state, block, settings, mask_id, support)
        if settings.threshold:
            commit_BS = above_threshold(confidence_BS, settings.threshold)
        else:
            commit_BS = most_confident(confidence_BS, count)
        state.tokens_BT[:, place] = torch.where(commit_BS, candidates_BS, state.tokens_BT[:, place])
        state.commit_BC[:, block] = torch.where(commit_BS, state.step_B[:, None], state.commit_BC[:, block])
        state.step_B += active_B


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
) -> tuple[Tensor, Tensor]:
    """Fills `gen_length` masked positions after each prompt.

    Args:
        prompt_BP: ids, padded on the left.
        prompt_mask_BP: bool, False on the pads; they are never seen.
        keys_B: int64; all randomness of a row is a function of its key, so its neighbours cannot change it.
        eos_id: rows that hold this id after a block are finished, if `settings.early_stop`; later blocks stay masked.
        following_BF: ids that stand after the response, such as the masks of an image to be drawn.

    Returns:
        Response ids [B, C], and the step of its row at which each was committed [B, C], -1 where a position stayed
        masked.
    """
    rows, width = len(prompt_BP), settings.gen_length
    response_BC = torch.full((rows, width), mask_id, dtype=torch.long, device=prompt_BP.device)
    commit_BC = torch.full_like(response_BC, -1)
    after_BX = response_BC if following_BF is None else torch.cat([response_BC, following_BF], 1)
    state = _State(
        torch.cat([prompt_BP, after_BX], 1),
        commit_BC.clone(),
        torch.cat([prompt_mask_BP, torch.ones_like(after_BX, dtype=torch.bool)], 1),
        keys_B,
        torch.zeros_like(keys_B),
        torch.arange(rows, device=prompt_BP.device),
        prompt_BP.shape[1],
    )
    for start in range(0, width, settings.block_length):
        block = slice(start, start + settings.block_length)
        _denoise_block(model, state, block, settings, mask_id, support)
        response_BC[state.rows] = state.response_BC
        commit_BC[state.rows] = state.commit_BC
        if settings.early_stop and eos_id is not None:
            alive_B = ~(state.response_BC == eos_id).any(-1)
            if not alive_B.any():
                break
            if not alive_B.all():
                state = state.keep(alive_B)
    return response_BC, commit_BC
