"""From images to what a vision tower takes: resized, cropped and normalised in batches of tensors.

B images, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import center_crop_or_pad
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812

from unigrpo.errors import RewardError


@dataclass(frozen=True)
class Preprocess:
    """How a tower wants its images; the defaults are CLIP's."""

    size: tuple[int, int]
    """Height and width."""
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD
    interpolation: str = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    """`shortest`: the shorter edge fits and the centre is cut out; `longest`: all of it fits, with a border; or
    `squash`."""
    fill_color: int = 0
    """Grey level of the border."""

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Preprocess":
        """Read an open_clip `preprocess_cfg`."""
        size = settings["size"]
        height, width = (size, size) if isinstance(size, int) else size
        return cls(
            size=(height, width),
            mean=tuple(settings["mean"]),
            std=tuple(settings["std"]),
            interpolation=settings["interpolation"],
            resize_mode=settings["resize_mode"],
            fill_color=settings["fill_color"],
        )

    def __call__(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the images as the tower takes them.

        Args:
            images: [H, W, 3] uint8 each; those of one shape are handled together.

        Returns:
            [B, 3, height, width] float32.
        """
        return self.normalise(self.fit(images).float() / 255)

    def normalise(self, pixels_B3HW: Tensor) -> Tensor:
        """Return pixels between 0 and 1 as the tower takes them."""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (pixels_B3HW - mean) / std

    def fit(self, images: Sequence[np.ndarray]) -> Tensor:
        """Return the images at the tower's size, [B, 3, height, width] uint8."""
        same: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise RewardError(f"An image has shape {image.shape} and type {image.dtype}, not [H, W, 3] and uint8.")
            same.setdefault(image.shape, []).append(index)
        fitted = torch.empty(len(images), 3, *self.size, dtype=torch.uint8)
        for indices in same.values():
            stacked = torch.from_numpy(np.stack([images[index] for index in indices]))
            fitted[indices] = self._resize(stacked.permute(0, 3, 1, 2))
        return fitted

    def _resize(self, images_B3HW: Tensor) -> Tensor:
        # Resized as uint8, as picture libraries do: floats, which a GPU would take, come out some grey levels apart.
        height, width = images_B3HW.shape[-2:]
        ratios = height / self.size[0], width / self.size[1]
        ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
        if self.resize_mode == "squash":
            target = list(self.size)
        elif self.resize_mode == "shortest" and self.size[0] == self.size[1]:
            target = [self.size[0]]
        else:
            target = [round(height / ratio), round(width / ratio)]
        how = InterpolationMode.BILINEAR if self.interpolation == "bilinear" else InterpolationMode.BICUBIC
        resized = F.resize(images_B3HW, target, how, antialias=True)
        return center_crop_or_pad(resized, list(self.size), self.fill_color)
