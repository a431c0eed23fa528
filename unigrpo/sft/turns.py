"""Which streams a batch of supervised fine-tuning has, where some take turns."""

from collections.abc import Mapping

import numpy as np
import torch

from unigrpo.algo.random import key, uniform
from unigrpo.config import StreamSection


class Turns:
    """For each batch of a run its streams, and how many batches each of them has had before.

    A function of the seed and of the batch's number, so that a resumed run draws what an uninterrupted one would.
    """

    def __init__(self, sections: Mapping[str, StreamSection], seed: int):
        self.always = [name for name, section in sections.items() if section.one_of is None]
        groups: dict[str, dict[str, float]] = {}
        for name, section in sections.items():
            if section.one_of is not None:
                groups.setdefault(section.one_of, {})[name] = section.weight
        self.choices = [_Choice(weights, key(seed, group, "one_of")) for group, weights in groups.items()]

    def of(self, number: int) -> dict[str, int]:
        """The streams of a batch (0-based), and for each which of its own batches comes."""
        return dict.fromkeys(self.always, number) | dict(choice.turn(number) for choice in self.choices)

    def upcoming(self, number: int) -> dict[str, int]:
        """For each stream which of its own batches is the first that comes with this batch or after it."""
        found = dict.fromkeys(self.always, number)
        for choice in self.choices:
            choice.turn(number)
            found |= dict(zip(choice.names, choice.had.tolist(), strict=True))
        return found


class _Choice:
    """Streams of which each batch has one."""

    def __init__(self, weights: Mapping[str, float], seed: int):
        self.names, self.key = list(weights), torch.tensor(seed)
        self.edges = np.cumsum(list(weights.values())) / sum(weights.values())
        self._start()

    def _start(self) -> None:
        self.at, self.had = 0, np.zeros(len(self.names), dtype=np.int64)

    def turn(self, number: int) -> tuple[str, int]:
        if number < self.at:
            self._start()
        numbers = uniform(self.key, torch.arange(self.at, number + 1)).numpy()
        drawn = np.searchsorted(self.edges[:-1], numbers, side="right")
        self.had += np.bincount(drawn[:-1], minlength=len(self.names))
        self.at = number
        return self.names[drawn[-1]], int(self.had[drawn[-1]])
