"""Orders that are a function of a seed and of where in the run we are."""

from collections.abc import Sequence

import numpy as np

WINDOW = 16
"""Batches whose samples are sorted by length together, so that those of a batch are about as long as each other."""


def generator(*parts: int) -> np.random.Generator:
    """Return random numbers that depend on these integers alone, which may be negative."""
    return np.random.default_rng([part & (2**64 - 1) for part in parts])


def batches_of(lengths: Sequence[int], batch_size: int, rng: np.random.Generator) -> list[list[int]]:
    """Return batches of row numbers: shuffled, sorted by length within windows of 16 batches, and shuffled again.

    What is left over at the end is in none.
    """
    order = rng.permutation(len(lengths))
    window = WINDOW * batch_size
    windows = [sorted(order[at : at + window], key=lengths.__getitem__) for at in range(0, len(order), window)]
    rows = [row for part in windows for row in part]
    batches = [rows[at : at + batch_size] for at in range(0, len(rows) - batch_size + 1, batch_size)]
    return [[int(row) for row in batches[index]] for index in rng.permutation(len(batches))]
