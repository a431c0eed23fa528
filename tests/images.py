"""A real image tokenizer, too small to see much, and pictures for it."""

from tempfile import TemporaryDirectory

import numpy as np

from unigrpo.config import ImageTokenizerSection
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_config import MagvitConfig
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.models.seeding import private_seed

BITS = 4


def tiny_images(resolution: int = 8, bits: int = BITS) -> ImageTokenizer:
    """A random MAGVIT-v2 with 4 x 4 pixels a code."""
    with TemporaryDirectory() as folder:
        save_tiny_images(folder, bits)
        return ImageTokenizer.load(ImageTokenizerSection(path=folder, resolution=resolution, batch_size=3))


def save_tiny_images(folder, bits: int = BITS) -> None:
    """The folder of one."""
    widths, blocks = (8, 8, 8), (1, 1, 1)
    config = MagvitConfig(
        bits=bits,
        encoder_widths=widths,
        decoder_widths=widths,
        encoder_blocks=blocks,
        decoder_blocks=blocks,
        groups=4,
    )
    with private_seed(0):
        save_magvit(Magvit(config), folder)


def picture(seed: int, height: int = 8, width: int = 8) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
