"""The endless stream of prompts: epoch after epoch, each in its own order, resumable from one number."""

from collections.abc import Sequence

import numpy as np

from unigrpo.errors import ConfigError
from unigrpo.types import Prompt


class PromptStream:
    """Draws prompts; no single draw holds one twice.

    What a draw brings is a function of the seed, the position and the size of the draw; an epoch holds each prompt once
    as long as that size does not change.
    """

    def __init__(self, prompts: Sequence[Prompt], seed: int, shuffle: bool = True) -> None:
        if not prompts:
            raise ConfigError("there are no prompts to draw from: give data at least one row.")
        self.position = 0
        """Prompts drawn so far: all that a resumed run must set."""
        self._prompts = prompts
        self._seed = seed
        self._shuffle = shuffle
        self._last: tuple[tuple[int, int, int], np.ndarray] | None = None

    def take(self, n: int) -> list[Prompt]:
        """Return the next n prompts, over the end of an epoch if need be."""
        count = len(self._prompts)
        if not 1 <= n <= count:
            raise ConfigError(
                f"rollout.prompts_per_step is {n}, but the data has {count} prompts, and no step holds one twice: "
                f"set it to 1 to {count}, or give more data."
            )
        epoch, start = divmod(self.position, count)
        phase = self.position % n
        drawn = self._order(epoch, n, phase)[start : start + n]
        if len(drawn) < n:
            drawn = np.concatenate([drawn, self._order(epoch + 1, n, phase)[: n - len(drawn)]])
        self.position += n
        return [self._prompts[i] for i in drawn]

    def _order(self, epoch: int, n: int, phase: int) -> np.ndarray:
        """Return the order of an epoch, for draws of n that start at `phase` modulo n.

        A prompt that the last draw of the epoch before holds already moves behind the part of that draw in this epoch.
        """
        if not self._shuffle:
            return np.arange(len(self._prompts))
        if self._last is not None and self._last[0][1:] == (n, phase) and self._last[0][0] <= epoch:
            (done, _, _), order = self._last
        else:
            # Moved prompts stay in the first n, so they reach the next epoch's tail only when two draws fill an epoch.
            done = max(0, epoch - 1) if 2 * n <= len(self._prompts) else 0
            order = self._permutation(done)
        for e in range(done + 1, epoch + 1):
            order = self._after(order, e, n, phase)
        self._last = ((epoch, n, phase), order)
        return order

    def _after(self, previous: np.ndarray, epoch: int, n: int, phase: int) -> np.ndarray:
        order = self._permutation(epoch)
        tail = (epoch * len(order) - phase) % n
        if tail == 0:
            return order
        fresh = np.flatnonzero(~np.isin(order, previous[-tail:]))[: n - tail]
        return np.concatenate([order[fresh], np.delete(order, fresh)])

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._prompts))
