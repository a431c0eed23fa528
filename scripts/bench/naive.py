"""A likelihood by full logits, written plainly: what our likelihood and our step are measured against.

b rows of a batch, T tokens, C of them in the response, V ids.
"""

import torch
from torch import Tensor

from unigrpo.batch import Batch
from unigrpo.models.ids import IdTable, supports
from unigrpo.models.llada import LLaDAModelLM


def make_batch(tokens_BT: Tensor, length: int, ids: IdTable) -> Batch:
    """Sequences that end in responses of full length, with random advantages."""
    rows, tokens_BT = len(tokens_BT), tokens_BT.cpu()
    seen_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
    return Batch(
        task="text",
        tokens_BT=tokens_BT,
        key_mask_BT=seen_BT,
        sampled_BC=seen_BT[:, -length:],
        commit_BC=torch.zeros(rows, length, dtype=torch.long),
        keys_B=torch.arange(rows),
        advantages_B=torch.randn(rows, generator=torch.Generator().manual_seed(0)),
        temperature_BS=torch.ones(rows, 1),
        guidance_BS=torch.zeros(rows, 1),
        unguided_BH=tokens_BT[:, :-length],
        unguided_mask_BH=seen_BT[:, :-length],
        mask_id=ids.mask,
        supports=supports(ids, "text"),
    )


def logits(model: LLaDAModelLM, batch: Batch, masked_bC: Tensor, rows: slice = slice(None)) -> Tensor:
    """Logits [b, T, V] of some responses with masks; -inf at ids that are never drawn."""
    device, [support] = next(model.parameters()).device, batch.supports
    never_V = torch.ones(model.config.rows, dtype=torch.bool, device=device)
    never_V[support.start : support.stop] = False
    never_V[list(support.banned)] = True
    input_bT = batch.tokens_BT[rows].clone()
    input_bT[:, -batch.width :][masked_bC] = batch.mask_id
    return model(input_bT.to(device)).logits.masked_fill(never_V, float("-inf"))


def chosen(values_bTV: Tensor, batch: Batch, rows: slice = slice(None)) -> Tensor:
    """What is said of the tokens of the response, [b, 1, C] on the CPU."""
    tokens_bT = batch.tokens_BT[rows].to(values_bTV.device)
    return values_bTV.gather(-1, tokens_bT[..., None])[:, None, -batch.width :, 0].cpu()
