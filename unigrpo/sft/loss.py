"""The masked-diffusion loss of LLaDA's and MMaDA's supervised stages.

B sequences, T tokens.
"""

import torch
from torch import Tensor

from unigrpo.algo.likelihood import token_logprobs
from unigrpo.models.ids import IdTable
from unigrpo.sft.batches import SFTBatch
from unigrpo.types import Support


def learned(batch: SFTBatch, ids: IdTable, ends: bool = False) -> Tensor:
    """The positions of a batch that its loss is made of, [B, T] bool: those that are masked.

    Args:
        ends: beside them `<|soi|>` and `<|eoi|>` of each image, which are seen, so that their loss soon is about 0.
    """
    if not ends:
        return batch.masked_BT
    return batch.masked_BT | batch.key_mask_BT & ((batch.tokens_BT == ids.soi) | (batch.tokens_BT == ids.eoi))


def sft_loss(
    model,
    input_BT: Tensor,
    key_mask_BT: Tensor | None,
    targets_BT: Tensor,
    learned_BT: Tensor,
    weight_B: Tensor,
    chunk: int = 1024,
) -> Tensor:
    """Weighted sum over masked tokens of the cross-entropy among the whole vocabulary; float32 scalar.

    Args:
        input_BT: ids with the mask id where masked.
        learned_BT: bool, the positions that are learned.
        weight_B: of each masked token of a sequence: 1 / (p * answer length * sequences) gives the loss of text, and
            1 / tokens the mean of images.
        chunk: tokens whose logits exist at one time.

    Source: MMaDA (arXiv:2505.15809), equation 2, per answer length as in LLaDA's released guidelines; for images its
        released trainer, after MaskGIT (arXiv:2202.04200).
    """
    seen_BT = torch.ones_like(learned_BT) if key_mask_BT is None else key_mask_BT
    weight_BT = weight_B.float().to(input_BT.device)[:, None] * learned_BT
    whole = Support(start=0, stop=model.config.rows)
    logprobs_BT = token_logprobs(
        model, input_BT, seen_BT, targets_BT, learned_BT, [whole], chunk, slopes=lambda _: -weight_BT
    )
    return -(weight_BT * logprobs_BT).sum()
