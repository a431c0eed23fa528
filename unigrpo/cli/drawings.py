"""Drawings of `unigrpo generate`: where their files go, and how they came about."""

import itertools
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image

from unigrpo.errors import ConfigError
from unigrpo.pictures import grid
from unigrpo.types import Rollout

NAME = "drawing.png"
GREY = 160
"""Level of what is still masked."""
MOST, COLUMNS = 24, 8
"""Pictures of a replay, and of one row of it."""


def place_of(picture: str | None) -> Path:
    """The file that drawings are called after; its folder is there, and can be written to.

    Raises:
        ConfigError: it is no .png, or its folder cannot be used.
    """
    path = Path(picture or NAME)
    if path.is_dir() or not path.suffix:
        path = path / NAME
    if path.suffix.lower() != ".png":
        raise ConfigError(f"picture is {picture!r}: name a .png file or a folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"picture is {picture!r}, whose folder cannot be made ({error.strerror}).") from None
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(f"picture is {str(path)!r}, but nothing can be written to its folder: name another.")
    return path


def save(rollout: Rollout, place: Path) -> Path:
    """Writes a drawing under the first name that is free, and returns it."""
    assert rollout.image is not None
    path = _reserve(place)
    Image.fromarray(rollout.image).save(path, "PNG")
    return path


def save_steps(rollout: Rollout, codes: int, drawing: Path) -> Path:
    """Writes one picture of the denoising steps beside a drawing, and returns its path.

    Args:
        codes: how many codes a drawing has.
    """
    path = _reserve(drawing.with_stem(f"{drawing.stem}-steps"))
    shown = canvases(rollout, codes)
    rows = [shown[at : at + COLUMNS] for at in range(0, len(shown), COLUMNS)]
    captions = [[f"step {step}" for step, _ in row] for row in rows]
    grid([[canvas for _, canvas in row] for row in rows], path, captions=captions)
    return path


def canvases(rollout: Rollout, codes: int) -> list[tuple[int, np.ndarray]]:
    """At most `MOST` steps of a drawing, counted from 1, and after each the picture, grey where codes are masked."""
    assert rollout.image is not None
    commit_N = rollout.commit_step[-codes - 1 : -1]
    steps = np.unique(commit_N[commit_N >= 0])
    side, resolution = math.isqrt(codes), len(rollout.image)
    if len(steps) > MOST:
        steps = steps[np.linspace(0, len(steps) - 1, MOST).round().astype(int)]
    found = []
    for step in steps.tolist():
        masked = (commit_N > step).reshape(side, side)
        masked = masked.repeat(resolution // side, 0).repeat(resolution // side, 1)
        found.append((step - int(steps[0]) + 1, np.where(masked[..., None], np.uint8(GREY), rollout.image)))
    return found


def _reserve(path: Path) -> Path:
    """Makes an empty file of this name, or of the first number after it that is free; what exists is never touched."""
    for number in itertools.count(1):
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            free.touch(exist_ok=False)
        except FileExistsError:
            continue
        return free
    raise AssertionError("numbers do not end")
