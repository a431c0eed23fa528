"""What data asks of a model: its special ids, and its image tokenizer. Models need torch, and data does not."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class SpecialIds(Protocol):
    """The special ids that data reads by name; None where the model has no such token."""

    @property
    def bos(self) -> int | None:
        """Beginning of sequence."""
        ...

    @property
    def eos(self) -> int:
        """End of sequence, which also fills up."""
        ...

    @property
    def mask(self) -> int:
        """The mask of the diffusion."""
        ...

    @property
    def start_header(self) -> int | None:
        """Opens the name of a turn's speaker."""
        ...

    @property
    def end_header(self) -> int | None:
        """Closes the name of a turn's speaker."""
        ...

    @property
    def eot(self) -> int | None:
        """End of a turn."""
        ...

    @property
    def image_offset(self) -> int | None:
        """The id of image code 0; every text id is below it."""
        ...

    @property
    def codebook_size(self) -> int:
        """Image codes, 0 for a model of text alone."""
        ...


class Images(Protocol):
    """The image tokenizer: square pictures in, codes out."""

    @property
    def codebook_size(self) -> int:
        """Different codes."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of a picture in pixels."""
        ...

    @property
    def tokens(self) -> int:
        """Codes of a picture."""
        ...

    @property
    def fingerprint(self) -> str:
        """What tells its weights from all others."""
        ...

    def encode(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes, [N] int64, of pictures, [H, W, 3] uint8."""
        ...
