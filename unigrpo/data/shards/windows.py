"""Batches of drafts: windows of samples in memory, shuffled within, in an order that is a function of the seed.

A window is a small epoch. What a run needs to go on is where its window began; the window is then read again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from unigrpo.data.shards.order import batches_of, generator
from unigrpo.data.shards.stream import SetStream, State
from unigrpo.errors import ConfigError

Chosen = list[tuple[str, Any]]
"""Drafts, each with the name of its data set."""


class Windows:
    """Batch `step` is a function of the data, the seed and `step` alone, and costs least when steps come in order."""

    def __init__(
        self,
        sets: Mapping[str, SetStream],
        weights: Mapping[str, float],
        *,
        batch_size: int,
        size: int,
        seed: int,
        shuffle: bool = True,
        key: str = "",
    ):
        """Args:
        size: samples of a window, made a multiple of the batch.
        shuffle: whether samples are shuffled, and those of a batch of like length.
        """
        self.sets, self.batch_size, self.seed, self.shuffle, self.key = dict(sets), batch_size, seed, shuffle, key
        self.size = max(1, size // batch_size) * batch_size
        total = sum(weights.values())
        self.shares = [weights[name] / total for name in self.sets]
        self.first, self.number = 0, 0
        self.batches: list[Chosen] = []
        self.beginning = self.began = self._now()

    def batch(self, step: int) -> Chosen:
        """Return the samples of a step.

        Raises:
            ConfigError: there are fewer samples than a batch.
            DataError: the data cannot be read, or too much of it is broken.
        """
        if step < self.first:
            self.restore(self.beginning)
        while step >= self.first + len(self.batches):
            self._advance()
        return self.batches[step - self.first]

    def state(self, step: int) -> State:
        """Return where a run that goes on with `step` finds its window again; JSON."""
        return self._now() if step >= self.first + len(self.batches) else self.began

    def restore(self, state: State) -> None:
        """Go on from a state, at its step or any later one.

        Raises:
            ConfigError: it was taken of other data.
        """
        if state["sets"].keys() != self.sets.keys():
            names = ", ".join(state["sets"])
            raise ConfigError(f"{self.key}mix is not what it was when the run was saved: it had {names}.")
        for name, one in self.sets.items():
            one.restore(state["sets"][name])
        self.first, self.number, self.batches, self.began = state["step"], state["window"], [], state

    def _now(self) -> State:
        sets = {name: one.state() for name, one in self.sets.items()}
        return {"step": self.first + len(self.batches), "window": self.number, "sets": sets}

    def _advance(self) -> None:
        self.began = self._now()
        self.first += len(self.batches)
        drafts = self._mixed() if len(self.sets) > 1 else self._alone()
        rng = generator(self.seed, self.number, 1)
        self.number += 1
        lengths = [len(draft) for _, draft in drafts]
        whole = range(len(drafts) // self.batch_size)
        in_order = [list(range(at * self.batch_size, (at + 1) * self.batch_size)) for at in whole]
        rows = batches_of(lengths, self.batch_size, rng) if self.shuffle else in_order
        self.batches = [[drafts[row] for row in batch] for batch in rows]

    def _alone(self) -> Chosen:
        """The next samples of the only data set, up to the end of its epoch, so that no batch holds one twice."""
        ((name, one),) = self.sets.items()
        drafts: Chosen = []
        while len(drafts) < self.size:
            begun, found = one.epoch, one.found
            draft = one.next()
            if draft is not None:
                drafts.append((name, draft))
                continue
            if begun == 0 and found < self.batch_size:
                raise ConfigError(
                    f"{self.key or 'sft.'}batch_size is {self.batch_size}, but the data has {found} examples, and no "
                    f"batch holds one twice: set it to {found} or less, or give more data."
                )
            if drafts:
                break
        return drafts

    def _mixed(self) -> Chosen:
        """The next samples of a mix, each from the data set that the seed draws; these have epochs of their own."""
        names = list(self.sets)
        drawn = generator(self.seed, self.number, 2).choice(len(names), size=self.size, p=np.array(self.shares))
        return [(names[index], self._endless(names[index])) for index in drawn]

    def _endless(self, name: str) -> Any:
        while (draft := self.sets[name].next()) is None:
            pass
        return draft
