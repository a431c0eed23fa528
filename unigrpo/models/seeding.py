"""Random initialisation that neither reads nor disturbs the global random state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def private_seed(seed: int) -> Iterator[None]:
    """Seed the CPU generator for a block of code and put its state back afterwards.

    Weights are initialised on the CPU, so that they do not depend on the device. `torch.manual_seed` would reseed the
    GPUs too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
