"""Finding flat shapes on a light ground by their pixels: connected ink, its hue, and the template it covers best."""

from collections.abc import Iterator

import numpy as np

from rewards.geneval import Found

HUES = {"red": (340, 18), "orange": (18, 38), "yellow": (38, 70), "green": (85, 165), "cyan": (165, 195)}
HUES |= {"blue": (195, 260), "purple": (260, 320), "pink": (320, 340)}
"""Degrees of each colour; between yellow and green is none."""
UNKNOWN = "object"
"""The class of everything, and the name of what has no shape that is known."""
WORKING_SIZE = 64
"""Pixels of the longer side, at most, after averaging."""
_LIGHT = 180
"""The darkest that a channel of the ground may be."""
_GREY = 40
"""Difference of its channels, at most."""
_INK = 64
"""Difference from the ground in some channel from which on a pixel is ink."""
_VIVID = 80
"""Difference of the channels of a colour that has a name, at least."""
_PURE = 0.8
"""Share of an object's ink that has its hue, at least."""
_HUE_SPREAD = 30
"""Degrees from the object's hue that its ink may be."""
_SPECK = 0.01
"""Share of the picture below which ink is a flaw and no object."""
_SIZES = 0.025, 0.25
"""Share of the picture that a shape covers, at least and at most."""
_OVERLAP = 0.8
"""Intersection over union with its template that a shape has, at least."""
_SAMPLES = 4
"""Points of a pixel in each direction, of a template."""


def parse(image: np.ndarray) -> list[Found]:
    """Return the objects of a picture, the topmost first; one of several colours or no known shape is an `object`.

    Args:
        image: [H, W, 3] uint8.
    """
    factor = -(-max(image.shape[:2]) // WORKING_SIZE)
    height, width = image.shape[0] // factor, image.shape[1] // factor
    if min(height, width) < 2:
        return []
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    pixels = blocks.mean(axis=(1, 3))
    ground = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]), axis=0)
    if ground.min() < _LIGHT or np.ptp(ground) > _GREY:
        return []
    distance = np.abs(pixels - ground).max(axis=-1)
    return [_found(pixels, distance, mask, factor) for mask in _components(distance > _INK)]


def _components(ink: np.ndarray) -> Iterator[np.ndarray]:
    """Masks of the connected parts of the ink, specks left out."""
    labels = np.where(ink, np.arange(1, ink.size + 1).reshape(ink.shape), 0)
    while True:
        spread = labels.copy()
        for to, source in ((np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:])):
            np.maximum(spread[to], spread[source], out=spread[to])
            np.maximum(spread[:, to], spread[:, source], out=spread[:, to])
        spread *= ink
        if np.array_equal(spread, labels):
            break
        labels = spread
    values, first, areas = np.unique(labels, return_index=True, return_counts=True)
    for _, value, area in sorted(zip(first, values, areas, strict=True)):
        if value and area >= _SPECK * ink.size:
            yield labels == value


def _found(pixels: np.ndarray, distance: np.ndarray, mask: np.ndarray, factor: int) -> Found:
    around = _grown(mask)
    rows, columns = (np.flatnonzero(around.any(axis=axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    depth = np.where(around[window], distance[window] / np.percentile(distance[mask], 90), 0)
    # An edge that is blurred over three pixels becomes one of a pixel, as in a template.
    cover, inside = np.clip(2 * depth - 0.5, 0, 1), depth > 0.5
    color = _color(pixels[window][inside])
    name = _shape(cover, mask.size) if color else UNKNOWN
    y, x = np.nonzero(inside)
    left, right = (columns[0] + x.min()) * factor, (columns[0] + x.max() + 1) * factor
    top, bottom = (rows[0] + y.min()) * factor, (rows[0] + y.max() + 1) * factor
    box = float(left), float(top), float(right), float(bottom)
    return Found(name, box, color, also=("shape", UNKNOWN) if name != UNKNOWN else ())


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask and the pixels beside it."""
    padded = np.pad(mask, 1)
    return padded[1:-1, 1:-1] | padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]


def _color(ink: np.ndarray) -> str:
    """The name of the hue of some pixels, [P, 3]; empty when it has none or they differ."""
    mean = ink.mean(axis=0)
    if np.ptp(mean) < _VIVID:
        return ""
    hue = _hue(mean[None])[0]
    off = np.abs((_hue(ink) - hue + 180) % 360 - 180)
    if ((off <= _HUE_SPREAD) & (np.ptp(ink, axis=1) > _VIVID / 2)).mean() < _PURE:
        return ""
    return next((name for name, (low, high) in HUES.items() if (hue - low) % 360 < (high - low) % 360), "")


def _hue(colors: np.ndarray) -> np.ndarray:
    """Hue of each colour, in degrees, [P]."""
    red, green, blue = colors.T
    return np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)) % 360


def _shape(cover: np.ndarray, picture: int) -> str:
    """The shape whose template, of the same area and centre, overlaps most with `cover`, [H, W] in 0..1.

    Args:
        picture: pixels of the whole picture.
    """
    area = cover.sum()
    if not _SIZES[0] <= area / picture <= _SIZES[1]:
        return UNKNOWN
    y, x = np.indices(cover.shape)
    center_x, center_y = (cover * x).sum() / area, (cover * y).sum() / area
    points = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    across = (np.arange(cover.shape[1])[:, None] + points).ravel() - center_x
    down = (np.arange(cover.shape[0])[:, None] + points).ravel() - center_y
    best, overlap = UNKNOWN, _OVERLAP
    for name, inside in _TEMPLATES.items():
        fine = inside(across[None, :], down[:, None], area)
        template = fine.reshape(cover.shape[0], _SAMPLES, cover.shape[1], _SAMPLES).mean(axis=(1, 3))
        value = np.minimum(template, cover).sum() / np.maximum(template, cover).sum()
        if value > overlap:
            best, overlap = name, value
    return best


def _circle(x: np.ndarray, y: np.ndarray, area: float) -> np.ndarray:
    return x**2 + y**2 <= area / np.pi


def _square(x: np.ndarray, y: np.ndarray, area: float) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) <= area**0.5 / 2


def _triangle(x: np.ndarray, y: np.ndarray, area: float) -> np.ndarray:
    """As high as it is wide, on its base; its centre is two thirds of the way down."""
    side = (2 * area) ** 0.5
    return (y <= side / 3) & (abs(x) <= (y + side * 2 / 3) / 2)


_TEMPLATES = {"circle": _circle, "square": _square, "triangle": _triangle}
