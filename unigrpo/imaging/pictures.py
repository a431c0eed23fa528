"""The pictures an image tokenizer learns from, square and in memory, and their order."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from unigrpo.config import DataSection, PicturesSection
from unigrpo.data.files import Record, read_file
from unigrpo.data.images import Source, fit_image, read_image
from unigrpo.data.rows import read_rows
from unigrpo.errors import DataError
from unigrpo.types import Task

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

TASKS: dict[str, tuple[Task, ...]] = {"shapes": ("image", "understand"), "digits": ("image",)}
"""Tasks whose rows differ in their pictures."""


def load_pictures(section: PicturesSection, resolution: int) -> np.ndarray:
    """Return the pictures of a section, [n, resolution, resolution, 3] uint8.

    Raises:
        DataError: there are none, or one cannot be read; the message names its row or file.
    """
    sources = {"folder": _folder, "file": _file}.get(section.source, _generated)(section)
    chosen = islice(sources, section.limit)
    fitted = [fit_image(read_image(source, where), resolution, section.fit) for where, source in chosen]
    if not fitted:
        raise DataError(f"{section.path or section.source} has no pictures. Give it at least one.")
    return np.stack(fitted)


def rows_of_step(count: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """The numbers of the pictures of one optimiser step: a function of its arguments alone.

    An epoch is a seeded order, and drops what is left over at its end.
    """
    epoch, index = divmod(step, count // batch_size)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[index * batch_size : (index + 1) * batch_size]


def _folder(section: PicturesSection) -> Iterator[tuple[str, Source]]:
    folder = Path(section.path or "")
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Name one with pictures, or set source=file.")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            yield str(folder), file


def _file(section: PicturesSection) -> Iterator[tuple[str, Source]]:
    path = Path(section.path or "")
    root = Path(section.image_root) if section.image_root else path.parent
    for record in read_file(str(path), section.split):
        yield record.where, _source(record, section.column, root)


def _source(record: Record, column: str, root: Path) -> Source:
    if column not in record.values:
        have = ", ".join(record.values) or "none"
        raise DataError(f"{record.where}: there is no column `{column}`. Its columns: {have}. Set data.column.")
    value = record.values[column]
    if isinstance(value, dict):  # as `datasets` stores images
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or not value:
        raise DataError(f"{record.where}: `{column}` is {value!r:.80}, but must be a picture or the path of one.")
    return root / value


def _generated(section: PicturesSection) -> Iterator[tuple[str, Source]]:
    """Rows of a source's tasks in turn."""
    tasks = TASKS[section.source]
    share = -(-section.size // len(tasks))
    made = [
        read_rows(DataSection(source=section.source, task=task, split=section.split, size=share, seed=section.seed))  # pyright: ignore[reportArgumentType]
        for task in tasks
    ]
    for number in range(section.size):
        row = made[number % len(tasks)][number // len(tasks)]
        assert row.image is not None
        yield row.where, row.image
