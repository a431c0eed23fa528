"""The published sampling loops, written plainly from their description: what our samplers are measured against.

Every step scores the whole vocabulary at every position, in two forwards with guidance, and draws with float64 noise.

B rows, T tokens, V ids, N codes of an image.

Source: LLaDA (arXiv:2502.09992), section 2.4, and MMaDA (arXiv:2505.15809), section 3; our facts of both in the docs.
"""

import math

import torch
from torch import Tensor


def _perturbed(logits: Tensor, temperature: float) -> Tensor:
    """Logits as weights with multiplicative Gumbel noise, float64; the largest is a sample."""
    if temperature == 0:
        return logits
    logits = logits.double()
    return logits.exp() / (-torch.log(torch.rand_like(logits))) ** temperature


@torch.no_grad()
def text(
    model, prompt_BP: Tensor, mask_id: int, gen_length: int, block_length: int, steps: int, temperature: float
) -> Tensor:
    """Semi-autoregressive denoising, the most confident tokens of a block first; ids [B, gen_length]."""
    rows, prompt = prompt_BP.shape
    tokens_BT = torch.cat([prompt_BP, torch.full((rows, gen_length), mask_id, device=prompt_BP.device)], 1)
    blocks = gen_length // block_length
    each = steps // blocks
    for block in range(blocks):
        stop = prompt + (block + 1) * block_length
        for step in range(each):
            count = block_length // each + (step < block_length % each)
            masked_BT = tokens_BT == mask_id
            logits_BTV = model(tokens_BT).logits
            proposed_BT = _perturbed(logits_BTV, temperature).argmax(-1)
            confidence_BT = logits_BTV.double().softmax(-1).gather(-1, proposed_BT[..., None])[..., 0]
            confidence_BT[:, stop:] = -math.inf
            confidence_BT = confidence_BT.masked_fill(~masked_BT, -math.inf)
            for row in range(rows):
                best = confidence_BT[row].topk(count).indices
                tokens_BT[row, best] = proposed_BT[row, best]
    return tokens_BT[:, prompt:]
