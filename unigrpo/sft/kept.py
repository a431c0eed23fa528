"""Samples of each batch for supervised fine-tuning, from data that is held in memory."""

from collections.abc import Sequence

from unigrpo.algo.random import key
from unigrpo.data.load import Example
from unigrpo.sft.batches import epoch_order
from unigrpo.sft.recipe import Samples


class BatchStream:
    """Batch after batch of examples, epoch after epoch; batch `step` is a function of the seed and `step` alone."""

    def __init__(self, examples: Sequence[Example], *, seed: int, batch_size: int):
        self.examples, self.seed = examples, seed
        self.lengths = [
            len(example.prompt_tokens) + len(example.response_tokens) + len(example.image_tokens)
            for example in examples
        ]
        self.size = min(batch_size, len(examples))
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def samples(self, step: int) -> Samples:
        """What the batch of this number (0-based) is made of."""
        epoch, index = divmod(step, len(self.examples) // self.size)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, epoch_order(self.lengths, self.size, self.seed, epoch))
        chosen = [self.examples[row] for row in self._epoch[1][index]]
        return Samples(items=chosen, noise_key=key(self.seed, step, "sft noise"))
