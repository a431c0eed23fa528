"""Images and texts as unit vectors in one space, the part that CLIP, PickScore and HPS have in common.

B pairs, D dimensions of the space.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from rewards.vision.preprocess import Preprocess

REMEMBERED = 4096
"""Texts whose vectors are kept: every rollout of a group has the same prompt."""


@dataclass(eq=False)
class Towers:
    """Two encoders with what they need; the vector of an image or a text does not depend on those beside it."""

    preprocess: Preprocess
    encode_images: Callable[[Tensor], Tensor]
    """[B, 3, H, W] pixels of `dtype` on `device` to [B, D]."""
    encode_texts: Callable[[list[str]], Tensor]
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    _known: OrderedDict[str, Tensor] = field(default_factory=OrderedDict)

    @torch.inference_mode()
    def images(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the vectors of [H, W, 3] uint8 images: [B, D] float32 on the CPU."""
        return torch.cat([self._images(images[at : at + self.batch_size]) for at in self._starts(images)])

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of texts, [B, D] float32 on the CPU; a text that was seen lately is not encoded again."""
        found = {text: self._known[text] for text in texts if text in self._known}
        new = list(dict.fromkeys(text for text in texts if text not in found))
        for at in self._starts(new):
            part = new[at : at + self.batch_size]
            vectors = _unit(self.encode_texts(part))
            # Copied, because a row of a batch would keep all of the batch in memory.
            found.update({text: vector.clone() for text, vector in zip(part, vectors, strict=True)})
        for text, vector in found.items():
            self._known[text] = vector
            self._known.move_to_end(text)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return torch.stack([found[text] for text in texts])

    def cosines(self, images: Sequence[np.ndarray], texts: Sequence[str]) -> list[float]:
        """Return the cosine of each image and its text."""
        return (self.images(images) * self.texts(texts)).sum(-1).tolist() if len(images) else []

    def _images(self, images: Sequence[np.ndarray]) -> Tensor:
        return _unit(self.encode_images(self.preprocess(images).to(self.device, self.dtype)))

    def _starts(self, items: Sequence[object]) -> range:
        return range(0, len(items), self.batch_size)


def _unit(vectors_BD: Tensor) -> Tensor:
    return normalize(vectors_BD.float(), dim=-1).cpu()
