"""In-painting: what a drawing keeps of a picture, which is the codes of all that no mask touches.

R pixels on a side of the fitted picture, N codes in raster order.
"""

import re

import numpy as np

from unigrpo.data.images import Fit, fit_image
from unigrpo.errors import DataError

BOX = re.compile(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*")
"""`x0,y0,x1,y1`."""
BLACK = 127.5
"""Below this mean level a pixel counts as black."""


def boxed(box: str, resolution: int) -> np.ndarray | None:
    """Return where a box `x0,y0,x1,y1` lies, [R, R] bool with x1 and y1 outside it; None when it is written otherwise.

    Raises:
        DataError: it is empty, or not inside the picture.
    """
    match = BOX.fullmatch(box)
    if match is None:
        return None
    x0, y0, x1, y1 = map(int, match.groups())
    if not (0 <= x0 < x1 <= resolution and 0 <= y0 < y1 <= resolution):
        raise DataError(
            f"mask is the box {box}, but x0,y0,x1,y1 must hold 0 <= x0 < x1 <= {resolution} and 0 <= y0 < y1 <= "
            f"{resolution}, in pixels of the fitted picture."
        )
    masked_RR = np.zeros((resolution, resolution), dtype=bool)
    masked_RR[y0:y1, x0:x1] = True
    return masked_RR


def whitened(mask: np.ndarray, shape: tuple[int, ...], resolution: int, fit: Fit) -> np.ndarray:
    """Return where a mask picture is white, [R, R] bool, once it is fitted like its image; what padding adds is kept.

    Args:
        mask: [H, W, 3] uint8.
        shape: of the image.

    Raises:
        DataError: the mask has another size than the image.
    """
    if mask.shape != shape:
        raise DataError(
            f"mask is {mask.shape[1]} x {mask.shape[0]} pixels, but the image is {shape[1]} x {shape[0]}: make them "
            "equally large."
        )
    # Padding is white, so the mask is turned round.
    return fit_image(255 - mask, resolution, fit).mean(-1) < BLACK


def known_codes(codes_N: np.ndarray, masked_RR: np.ndarray, factor: int) -> np.ndarray:
    """Return the codes that stay, [N] int64, and -1 for each code with a masked pixel.

    Args:
        factor: pixels on a side of a code.

    Raises:
        DataError: none is masked, or all are.
    """
    side = len(masked_RR) // factor
    free_N = masked_RR.reshape(side, factor, side, factor).any((1, 3)).ravel()
    if not free_N.any():
        raise DataError("mask is empty, so nothing would be drawn: make what is to be drawn anew white.")
    if free_N.all():
        raise DataError("mask touches every code, so nothing of the image would stay: drop both, or mask less of it.")
    return np.where(free_N, -1, codes_N)
