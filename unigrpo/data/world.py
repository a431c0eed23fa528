"""The embedded world: up to four flat shapes on a light ground, one in each quarter of a picture."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SHAPES = ("circle", "square", "triangle")
COLOURS = {"red": (214, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 210), "yellow": (240, 200, 20)}
"""RGB of each colour."""
CELLS = ("top left", "top right", "bottom left", "bottom right")
BACKGROUND = (245, 245, 245)
SIZE = 32
"""Pixels of a side, unless another size is asked for; a cell is then 16 pixels, and an object 12."""
_FILL = 0.75
"""Side of an object as a share of its cell's."""
_SUBPIXELS = 8
"""Samples of a pixel in each direction, for smooth edges."""


@dataclass(frozen=True)
class Thing:
    """What an object is, wherever it stands."""

    shape: str
    colour: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """What stands in each cell, in the order of `CELLS`; None where nothing does."""

    cells: tuple[Thing | None, Thing | None, Thing | None, Thing | None]

    def __str__(self) -> str:
        return ", ".join(f"{thing} {cell}" for cell, thing in self.placed)

    @property
    def placed(self) -> list[tuple[str, Thing]]:
        """Cell and thing of each object."""
        return [(cell, thing) for cell, thing in zip(CELLS, self.cells, strict=True) if thing is not None]

    @property
    def things(self) -> list[Thing]:
        """The objects, cell by cell."""
        return [thing for thing in self.cells if thing is not None]


THINGS = tuple(Thing(shape, colour) for shape in SHAPES for colour in COLOURS)


def render(scene: Scene, size: int = SIZE) -> np.ndarray:
    """Draw a scene, with smooth edges.

    Returns:
        [size, size, 3] uint8, RGB.
    """
    pixels = np.empty((size, size, 3))
    pixels[:] = BACKGROUND
    for cell, thing in scene.placed:
        cover = _coverage(thing.shape, CELLS.index(cell), size)[..., None]
        pixels = pixels * (1 - cover) + cover * np.array(COLOURS[thing.colour])
    return np.rint(pixels).astype(np.uint8)


@lru_cache(maxsize=256)
def _coverage(shape: str, cell: int, size: int) -> np.ndarray:
    """Share of each pixel that an object covers, [size, size]."""
    steps = (np.arange(size * _SUBPIXELS) + 0.5) * 2 / (size * _SUBPIXELS)  # a cell is 1 wide
    row, column = divmod(cell, 2)
    x = (steps[None, :] - column - 0.5) / _FILL
    y = (steps[:, None] - row - 0.5) / _FILL
    inside = _INSIDE[shape](x, y)
    return inside.reshape(size, _SUBPIXELS, size, _SUBPIXELS).mean(axis=(1, 3))


_INSIDE = {
    "circle": lambda x, y: x**2 + y**2 <= 0.25,
    "square": lambda x, y: (abs(x) <= 0.5) & (abs(y) <= 0.5),
    "triangle": lambda x, y: (abs(x) <= (y + 0.5) / 2) & (y <= 0.5),
}
"""Whether a point belongs to a shape that fills the square from -0.5 to 0.5, with y downwards."""
