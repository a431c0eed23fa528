"""The endless stream of prompts: epoch after epoch, each in its own order, resumable from one number."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from unigrpo.errors import ConfigError
from unigrpo.types import Prompt


class PromptStream:
    """Draws prompts; the order of an epoch is a function of the seed and the epoch's number alone.

    A draw lies in one epoch, so that it never holds a prompt twice: what is left of an epoch that is too short for a
    draw is passed over.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, shuffle: bool = True, draw: int = 1) -> None:
        """Raises a `ConfigError` when there are fewer prompts than the most a draw will ask for, `draw`."""
        if len(prompts) < draw:
            raise ConfigError(
                f"rollout.prompts_per_step is {draw}, but the data has {len(prompts)} prompts, and no step holds one "
                f"twice: set it to {len(prompts)} or less, or give more data."
            )
        self.prompts, self.seed, self.shuffle = prompts, seed, shuffle
        self.position = 0
        """Place in the stream: all that a resumed run must set."""

    def take(self, n: int) -> list[Prompt]:
        """Return the next n prompts."""
        count = len(self.prompts)
        assert n <= count, "the constructor was told of a smaller draw"
        epoch, start = divmod(self.position, count)
        if start + n > count:
            epoch, start = epoch + 1, 0
        self.position = epoch * count + start + n
        return [self.prompts[row] for row in self._order(epoch)[start : start + n]]

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.prompts))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.prompts))


class MixedStream:
    """Draws from several streams by their weights, in exact proportion over time."""

    def __init__(self, streams: Mapping[str, PromptStream], weights: Mapping[str, float]) -> None:
        self.streams, total = dict(streams), sum(weights.values())
        self.shares = {name: weights[name] / total for name in streams}
        self.drawn = dict.fromkeys(streams, 0)

    @property
    def position(self) -> dict[str, list[int]]:
        """Place in each stream and prompts drawn from it: all that a resumed run must set. Empty is the beginning."""
        return {name: [stream.position, self.drawn[name]] for name, stream in self.streams.items()}

    @position.setter
    def position(self, value: Mapping[str, Sequence[int]]) -> None:
        for name, stream in self.streams.items():
            stream.position, self.drawn[name] = value.get(name, (0, 0))

    def take(self, n: int) -> list[Prompt]:
        """Return the next n prompts, those of one stream next to each other."""
        counts = dict.fromkeys(self.streams, 0)
        for _ in range(n):
            due = max(self.shares, key=self._debt)
            counts[due] += 1
            self.drawn[due] += 1
        return [prompt for name, count in counts.items() if count for prompt in self.streams[name].take(count)]

    def _debt(self, name: str) -> float:
        """How far a stream is behind its share, after the next draw."""
        return self.shares[name] * (sum(self.drawn.values()) + 1) - self.drawn[name]


def most_drawn(n: int, share: float) -> int:
    """The most prompts that one draw of n takes from a stream with this share of them."""
    return min(n, math.ceil(n * share) + 1)
