"""How well an image tokenizer gives pictures back, and how much of its codebook it uses."""

from pathlib import Path

import numpy as np

from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.pictures import grid
from unigrpo.types import Metrics

SHOWN = 12
"""Pictures of a page."""


def measure(tokenizer: ImageTokenizer, pictures_nHW3: np.ndarray) -> Metrics:
    """Peak signal-to-noise ratio of the pictures in dB, mean and least, and the codes they use."""
    codes = tokenizer.encode(list(pictures_nHW3))
    ratios = psnr(np.stack(tokenizer.decode(codes)), pictures_nHW3)
    counts = np.bincount(np.concatenate(codes), minlength=tokenizer.codebook_size)
    shares = counts[counts > 0] / counts.sum()
    return {
        "held_out/psnr": float(ratios.mean()),
        "held_out/psnr_min": float(ratios.min()),
        "held_out/codes_used": float((counts > 0).mean()),
        "held_out/perplexity": float(np.exp(-(shares * np.log(shares)).sum())),
    }


def psnr(made_nHW3: np.ndarray, wanted_nHW3: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture in dB, [n]; 8-bit rounding alone would leave about 59."""
    error_n = np.square(made_nHW3.astype(np.float64) - wanted_nHW3).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error_n, 1 / 12))


def page(tokenizer: ImageTokenizer, pictures_nHW3: np.ndarray, out: Path) -> None:
    """Draws some pictures over what comes back of them, as PNG."""
    chosen = np.linspace(0, len(pictures_nHW3) - 1, min(SHOWN, len(pictures_nHW3))).astype(int)
    originals = list(pictures_nHW3[chosen])
    grid([originals, tokenizer.decode(tokenizer.encode(originals))], out, row_titles=["original", "reconstructed"])
