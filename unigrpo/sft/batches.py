"""The tensors of a batch for supervised fine-tuning, and the order of batches in memory.

B sequences, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.random import key
from unigrpo.config import SFTSection
from unigrpo.data.load import Example
from unigrpo.data.shards.order import batches_of
from unigrpo.errors import DataError
from unigrpo.models.ids import IdTable
from unigrpo.sft.noise import dropped, mask_images, mask_text
from unigrpo.types import DRAWING


@dataclass(frozen=True, kw_only=True, eq=False)
class SFTBatch:
    """Sequences of prompt, response and trained end-of-sequence padding, with the mask that noise drew."""

    tokens_BT: Tensor
    key_mask_BT: Tensor
    """bool, False after the sequence's own padding."""
    masked_BT: Tensor
    weight_B: Tensor
    """float64, the weight of each masked token in the loss of the batch."""

    def __len__(self) -> int:
        return len(self.tokens_BT)

    def rows(self, part: slice) -> "SFTBatch":
        """Some of its sequences."""
        return SFTBatch(**{name: value[part] for name, value in vars(self).items()})


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of row numbers for one epoch: shuffled, sorted by length within windows of 16 batches, shuffled again.

    A pure function of its arguments, so that a resumed run sees the rows an uninterrupted one would.
    """
    rng = np.random.Generator(np.random.Philox(key=key(seed, epoch, "sft order") & (2**64 - 1)))
    return batches_of(lengths, batch_size, rng)


def check_thought(example: Example, pad_to: int | None, prefix: str) -> None:
    """A drawing stands behind a thought of fixed length, so that a longer one has no place.

    Raises:
        DataError: it is longer.
    """
    if example.task == "think_image" and pad_to is not None and len(example.response_tokens) > pad_to:
        raise DataError(
            f"{example.id}: the thought has {len(example.response_tokens)} tokens, but {prefix}pad_to is {pad_to}, "
            "behind which the image stands: raise it, and rollout.gen_length with it."
        )


def collate(
    examples: Sequence[Example], section: SFTSection, ids: IdTable, *, noise_key: int, pad_to: int | None = None
) -> SFTBatch:
    """Joins prompts and responses of one task, pads texts with trained end-of-sequence ids and draws the masks.

    Args:
        pad_to: tokens of a text; by default those of the longest.
    """
    keys, task = torch.tensor(noise_key), examples[0].task
    hidden = dropped(keys, len(examples), section.condition_dropout if task in DRAWING else 0.0)
    filled = _fill(examples, section, pad_to, ids.eos)
    rows = [_unconditional(row, ids.eos) if hide else row for row, hide in zip(filled, hidden, strict=True)]
    pieces = [(row.prompt_tokens, row.response_tokens, row.image_tokens) for row in rows]
    width = max(sum(map(len, three)) for three in pieces)
    tokens_BT = torch.full((len(rows), width), ids.eos, dtype=torch.long)
    maskable_BT = torch.zeros_like(tokens_BT, dtype=torch.bool)
    visible_BT = torch.zeros_like(maskable_BT)
    for row, (three, hide) in enumerate(zip(pieces, hidden, strict=True)):
        joined = torch.as_tensor(np.concatenate(three))
        start, end = len(three[0]), len(three[0]) + len(three[1])
        tokens_BT[row, : len(joined)] = joined
        visible_BT[row, : len(joined)] = True
        maskable_BT[row, start:end] = not hide
        maskable_BT[row, end : len(joined)] = joined[end:] >= ids.text_vocab
    masked_BT, weight_B = (mask_images if task == "image" else mask_text)(keys, maskable_BT, section)
    return SFTBatch(tokens_BT=tokens_BT, key_mask_BT=visible_BT, masked_BT=masked_BT, weight_B=weight_B)


def _fill(examples: Sequence[Example], section: SFTSection, pad_to: int | None, eos: int) -> list[Example]:
    """The examples with their texts cut to the limit and filled up; those without a text as they are."""
    rooms = [section.max_length - example.text_length for example in examples]
    cut = [example.response_tokens[:room] for example, room in zip(examples, rooms, strict=True)]
    target = pad_to or max(map(len, cut))
    filled = [
        np.pad(text, (0, max(0, min(target, room) - len(text))), constant_values=eos)
        for text, room in zip(cut, rooms, strict=True)
    ]
    return [replace(example, response_tokens=text) for example, text in zip(examples, filled, strict=True)]


def _unconditional(example: Example, eos: int) -> Example:
    """A drawing of nothing in particular, as guidance has it: an empty prompt, and a thought that says nothing."""
    assert example.unconditional is not None
    silence = np.full_like(example.response_tokens, eos)
    return replace(example, prompt_tokens=example.unconditional, response_tokens=silence)
