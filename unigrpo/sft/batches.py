"""Batches for supervised fine-tuning: length buckets, and noise as a function of the run's seed.

B sequences, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.random import key, uniform
from unigrpo.config import SFTSection
from unigrpo.data.load import Example
from unigrpo.sft.loss import mask_probabilities

WINDOW = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class SFTBatch:
    """Sequences of prompt, response and trained end-of-sequence padding, with the mask that noise drew."""

    tokens_BT: Tensor
    key_mask_BT: Tensor
    """bool, False after the sequence's own padding."""
    masked_BT: Tensor
    probability_B: Tensor
    answer_length_B: Tensor

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
    order = rng.permutation(len(lengths))
    window = WINDOW * batch_size
    windows = [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]
    rows = [row for part in windows for row in part]
    batches = [rows[at : at + batch_size] for at in range(0, len(rows) - batch_size + 1, batch_size)]
    return [[int(row) for row in batches[index]] for index in rng.permutation(len(batches))]


def collate(examples: Sequence[Example], section: SFTSection, *, noise_key: int, mask_id: int, eos_id: int) -> SFTBatch:
    """Joins prompts and responses, pads the responses with trained end-of-sequence ids and draws the masks."""
    pairs = [(ex.prompt_tokens, ex.response_tokens[: section.max_length - len(ex.prompt_tokens)]) for ex in examples]
    answer = section.pad_to or max(len(response) for _, response in pairs)
    answers = [max(answer, len(response)) for _, response in pairs]
    answers = [min(a, section.max_length - len(p)) for a, (p, _) in zip(answers, pairs, strict=True)]
    width = max(len(prompt) + length for (prompt, _), length in zip(pairs, answers, strict=True))
    tokens_BT = torch.full((len(pairs), width), eos_id, dtype=torch.long)
    maskable_BT = torch.zeros_like(tokens_BT, dtype=torch.bool)
    visible_BT = torch.zeros_like(maskable_BT)
    for row, ((prompt, response), length) in enumerate(zip(pairs, answers, strict=True)):
        text = np.concatenate([prompt, response])
        tokens_BT[row, : len(text)] = torch.as_tensor(text)
        maskable_BT[row, len(prompt) : len(prompt) + length] = True
        visible_BT[row, : len(prompt) + length] = True
    keys = torch.tensor(noise_key)
    probability_B = mask_probabilities(keys, len(pairs), section.low_discrepancy, section.eps)
    chance_BT = uniform(keys + 1, torch.arange(tokens_BT.numel())).view(tokens_BT.shape)
    return SFTBatch(
        tokens_BT=tokens_BT,
        key_mask_BT=visible_BT,
        masked_BT=(chance_BT < probability_B[:, None]) & maskable_BT,
        probability_B=probability_B,
        answer_length_B=torch.tensor(answers),
    )


class BatchStream:
    """Batch after batch of examples, epoch after epoch; batch `step` is a function of the seed and `step` alone."""

    def __init__(self, examples: Sequence[Example], section: SFTSection, *, seed: int, mask_id: int, eos_id: int):
        self.examples, self.section, self.seed = examples, section, seed
        self.mask_id, self.eos_id = mask_id, eos_id
        self.lengths = [len(example.prompt_tokens) + len(example.response_tokens) for example in examples]
        self.size = min(section.batch_size, len(examples))
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def batch(self, step: int) -> SFTBatch:
        """The batch of one optimiser step (0-based)."""
        epoch, index = divmod(step, len(self.examples) // self.size)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, epoch_order(self.lengths, self.size, self.seed, epoch))
        chosen = [self.examples[row] for row in self._epoch[1][index]]
        noise_key = key(self.seed, step, "sft noise")
        return collate(chosen, self.section, noise_key=noise_key, mask_id=self.mask_id, eos_id=self.eos_id)
