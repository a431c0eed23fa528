"""Real pictures: 1797 handwritten digits, 8 by 8 pixels each, that come with scikit-learn."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.generators import held_out
from unigrpo.errors import ConfigError, MissingExtraError

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZE = 32
"""Pixels of a side after scaling up."""


def digits(section: DataSection) -> Iterator[Record]:
    """Return digits to draw (`image`) or to name (`understand`), in an order that the seed decides.

    A hash of a digit's number in the collection decides its split. With `instruction=think` the response thinks first.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).
    """
    pictures, labels = _collection()
    numbers = np.arange(len(labels), dtype=np.uint64)
    mine = np.flatnonzero(held_out(numbers) == (section.split == "test")).tolist()
    if section.size > len(mine):
        raise ConfigError(
            f"data.size is {section.size}, but digits has {len(mine)} {section.split} rows: set data.size={len(mine)}."
        )
    random.Random(f"digits/{section.seed}").shuffle(mine)
    for number in mine[: section.size]:
        values = {**_texts(section, int(labels[number])), "image": _picture(pictures[number])}
        yield Record(f"digits-{section.task}-{section.split}:{number}", f"digits picture {number}", values)


def _texts(section: DataSection, label: int) -> dict[str, Any]:
    if section.task == "image":
        return {"prompt": f"a handwritten digit {NAMES[label]}", "answer": str(label)}
    thinks = f"<think>a handwritten {NAMES[label]}</think> " if section.instruction == "think" else ""
    return {"prompt": "Which digit is this?", "answer": str(label), "response": f"{thinks}{label}"}


def _picture(ink: np.ndarray) -> np.ndarray:
    """Scale a digit up and turn it into dark ink on white, [32, 32, 3] uint8."""
    from PIL import Image

    small = Image.fromarray(np.rint(255 - ink * (255 / 16)).astype(np.uint8))
    grey = np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return np.repeat(grey[..., None], 3, axis=2)


def _collection() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError(
            "data.source=digits needs scikit-learn, which is not installed: pip install 'unigrpo[digits]'."
        ) from error
    collection: Any = load_digits()
    return collection.images, collection.target
