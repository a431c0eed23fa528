"""The image tokenizer as the rest sees it: uint8 images to codes and back.

B images, H W pixels, h w codes, N = h x w codes of an image.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.random import key
from unigrpo.config import ImageTokenizerSection
from unigrpo.errors import ConfigError, DataError
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import load_magvit
from unigrpo.models.seeding import private_seed

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "bits": 6,
        "encoder_widths": (8, 8, 8),
        "decoder_widths": (8, 8, 8),
        "encoder_blocks": (1, 1, 1),
        "decoder_blocks": (1, 1, 1),
        "groups": 4,
    }
}


class ImageTokenizer:
    """A MAGVIT-v2 that takes and gives [H, W, 3] uint8, in batches, and is not trained by it."""

    def __init__(self, network: Magvit, section: ImageTokenizerSection, key: str = "model.image_tokenizer.resolution"):
        """Raises a ConfigError, naming the setting `key`, when the resolution is no multiple of the factor."""
        self.network, self.resolution, self.batch_size = network, section.resolution, section.batch_size
        self.codebook_size, self.factor = network.config.codebook_size, network.config.factor
        if self.resolution % self.factor:
            raise ConfigError(
                f"{key} is {self.resolution}, but a code of this image tokenizer is {self.factor} pixels wide: set it "
                f"to a multiple of {self.factor}."
            )

    @classmethod
    def load(cls, section: ImageTokenizerSection, device: torch.device | str = "cpu") -> "ImageTokenizer":
        """Load the tokenizer of a run.

        Raises:
            ConfigError: no path is set, or the resolution does not suit it.
            CheckpointError: the folder cannot be used; the message names the file and the tensor.
        """
        if section.path is None and section.preset is None:
            raise ConfigError(
                "model.image_tokenizer.path is not set, but there are images: name a folder made by `unigrpo "
                "tokenizer`, or a showlab/magvitv2."
            )
        return cls(network_of(section).requires_grad_(False).to(device), section)

    @property
    def tokens(self) -> int:
        """Codes of a square image at the resolution."""
        return (self.resolution // self.factor) ** 2

    @property
    def fingerprint(self) -> str:
        """A hash of the network's weights, whatever file they came from."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.quantize.power_vals.device

    @torch.inference_mode()
    def encode(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the codes of each image, [N] int64 in raster order; the images may differ in shape.

        Raises:
            DataError: an image is not [H, W, 3] uint8, or its sides are no multiples of the factor.
        """
        for number, image in enumerate(images):
            self._check_image(image, number)
        found: list[np.ndarray] = [np.empty(0)] * len(images)
        for rows in self._batches([image.shape for image in images]):
            pixels_B3HW = to_pixels(np.stack([images[row] for row in rows])).to(self.device)
            for row, codes_N in zip(rows, self.network.encode(pixels_B3HW).cpu().numpy(), strict=True):
                found[row] = codes_N
        return found

    @torch.inference_mode()
    def decode(self, codes: Sequence[np.ndarray], shape: tuple[int, int] | None = None) -> list[np.ndarray]:
        """Return the image of each row of codes, [H, W, 3] uint8.

        Args:
            shape: rows and columns of codes, the same for all; by default each image is square.

        Raises:
            DataError: a code is out of range, or there are not as many as the shape needs.
        """
        shapes = [self._check_codes(row, number, shape) for number, row in enumerate(codes)]
        found: list[np.ndarray] = [np.empty(0)] * len(codes)
        for rows in self._batches(shapes):
            codes_BN = torch.as_tensor(np.stack([codes[row] for row in rows]).astype(np.int64), device=self.device)
            for row, image in zip(rows, to_images(self.network.decode(codes_BN, shapes[rows[0]])), strict=True):
                found[row] = image
        return found

    def _batches(self, shapes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        """Numbers of rows of one shape, at most `batch_size` of them."""
        for wanted in dict.fromkeys(shapes):
            same = [row for row, shape in enumerate(shapes) if shape == wanted]
            yield from (same[at : at + self.batch_size] for at in range(0, len(same), self.batch_size))

    def _check_image(self, image: np.ndarray, number: int) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(f"image {number} is {image.dtype} {list(image.shape)}, but must be uint8 [H, W, 3].")
        height, width = image.shape[:2]
        if not height or not width or height % self.factor or width % self.factor:
            raise DataError(
                f"image {number} is {width} x {height} pixels, but its sides must be multiples of {self.factor}: fit "
                f"it to model.image_tokenizer.resolution={self.resolution}."
            )

    def _check_codes(self, codes: np.ndarray, number: int, shape: tuple[int, int] | None) -> tuple[int, int]:
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
            raise DataError(f"the codes of image {number} are {codes.dtype} {list(codes.shape)}, but must be int [N].")
        rows, columns = shape or (math.isqrt(len(codes)),) * 2
        if not len(codes) or rows * columns != len(codes):
            wanted = f"{rows} x {columns}" if shape else "a square number: say their shape"
            raise DataError(f"image {number} has {len(codes)} codes, but must have {wanted}.")
        if outside := [int(code) for code in codes if not 0 <= code < self.codebook_size]:
            raise DataError(
                f"image {number} has the code {outside[0]}, but this tokenizer's codes are 0 to "
                f"{self.codebook_size - 1}: it is not the one they were made with, or they hold a mask."
            )
        return rows, columns


def network_of(section: ImageTokenizerSection) -> Magvit:
    """The network of a section, in float32 on the CPU: the one in its folder, or the untrained one of its preset."""
    if section.path is not None:
        return load_magvit(section.path)
    assert section.preset is not None
    with private_seed(key("image tokenizer", section.preset) & (2**63 - 1)):
        return Magvit(MagvitConfig(**PRESETS[section.preset])).eval()


def to_pixels(images_BHW3: np.ndarray) -> Tensor:
    """Return uint8 images as float32 [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(images_BHW3).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(pixels_B3HW: Tensor) -> np.ndarray:
    """Return pixels as uint8 [B, H, W, 3], what lies outside [-1, 1] clipped."""
    levels = ((pixels_B3HW + 1) / 2).clamp(0, 1) * 255
    return levels.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
