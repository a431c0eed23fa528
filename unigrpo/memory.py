"""Work in portions that fit into memory."""

from collections.abc import Callable
from typing import TypeVar

import torch

from unigrpo.errors import OutOfMemoryError
from unigrpo.progress import console

Found = TypeVar("Found")
RAN_OUT = ("can't allocate memory", "out of memory", "alloc_failed")
"""What the allocator of the host, CUDA and cuBLAS say."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a GPU or of the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in RAN_OUT)


class Portion:
    """How many rows are worked on at one time; it only ever shrinks."""

    def __init__(self, key: str, size: int, splits: bool = True):
        """Args:
        key: the setting it comes from, to be named.
        splits: whether it may shrink; where several processes must keep step, one alone cannot.
        """
        self.key, self.size, self.splits = key, size, splits

    def run(self, attempt: Callable[[int], Found]) -> Found:
        """What `attempt` gives for this size, or for the largest half of it, of that, ..., that fits.

        Args:
            attempt: must be able to start again.

        Raises:
            OutOfMemoryError: not even one row fits, or it must not be halved here.
        """
        while True:
            try:
                return attempt(self.size)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if self.size == 1 or not self.splits:
                    words = " ".join(str(error).split())[:300]
                    message = f"Out of memory with {self.key}={self.size}: {words}."
                    raise OutOfMemoryError(message, self.key, self.size) from error
            self._halve()

    def _halve(self) -> None:
        console.print(
            f"Out of memory with {self.key}={self.size}: going on with {self.size // 2}. Set it to that to avoid this.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        self.size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
