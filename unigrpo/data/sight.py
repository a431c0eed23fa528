"""The pictures of rows: read, made square, and encoded a few at a time."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.layouts import special
from unigrpo.data.protocols import Images, SpecialIds
from unigrpo.data.rows import Row
from unigrpo.errors import ConfigError, DataError
from unigrpo.progress import progress

AT_ONCE = 64
"""Pictures that are in memory beside those that are kept."""
MANY = 512
"""Pictures from which on the user is told how far their encoding is."""


def check_images(section: DataSection, ids: SpecialIds, images: Images | None) -> None:
    """Make sure that the model and the image tokenizer of a task with images belong together.

    Raises:
        ConfigError: there is no image tokenizer, the model has no image codes, or not as many.
    """
    if section.task == "text":
        return
    if images is None:
        raise ConfigError(
            f"data.task is {section.task}, but there is no image tokenizer: set model.image_tokenizer.path to a folder "
            "made by `unigrpo tokenizer`, or of the published magvitv2."
        )
    special(ids, "soi")
    if ids.codebook_size != images.codebook_size:
        raise ConfigError(
            f"the image tokenizer has {images.codebook_size} codes, but the model has {ids.codebook_size}: set "
            "model.image_tokenizer.path to the one that the model was trained with."
        )
    if section.codes is not None:
        from unigrpo.data.shards.codes import check_made_by, made_with

        check_made_by(Path(section.codes), made_with(images, section.fit))


def pictures(
    rows: Sequence[Row], section: DataSection, images: Images | None, *, encode: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """Yield the picture of each row, [R, R, 3] uint8, and its codes, [N] int64; None where there is none.

    Args:
        encode: whether codes are wanted, which takes a picture in every row.

    Raises:
        DataError: a picture cannot be read, or belongs to a task of text.
    """
    odd = next((row for row in rows if row.image is not None), None) if section.task == "text" else None
    if odd is not None:
        raise DataError(
            f"{odd.where}: an image for a text task: data.task is text, which does not look at it. Set "
            "data.task=understand to ask about it or data.task=image to draw it, or drop the column."
        )
    if section.task == "text":
        yield from [(None, None)] * len(rows)
        return
    assert images is not None, "check_images comes first"
    with progress("Images", len(rows)) if len(rows) >= MANY else nullcontext() as bar:
        for at in range(0, len(rows), AT_ONCE):
            part = [_picture(row, section, images.resolution) for row in rows[at : at + AT_ONCE]]
            seen = [picture for picture in part if picture is not None]
            codes = encoded(rows[at : at + AT_ONCE], seen, section, images) if encode else [None] * len(part)
            yield from zip(part, codes, strict=True)
            if bar:
                bar.update({}, len(part))


def encoded(rows: Sequence[Row], seen: Sequence[np.ndarray], section: DataSection, images: Images) -> list[np.ndarray]:
    """Return the codes of pictures, from `data.codes` where they are kept there."""
    if section.codes is None:
        return images.encode(seen)
    from unigrpo.data.shards.codes import KeptCodes, picture_key

    kept = KeptCodes.of(section.codes)
    found = [None if row.image is None else kept.find(picture_key(row.image)) for row in rows]
    missing = iter(images.encode([picture for picture, codes in zip(seen, found, strict=True) if codes is None]))
    return [next(missing) if codes is None else codes for codes in found]


def picture_flaw(row: Row) -> str | None:
    """Say why the picture of a row cannot be read; None when it can, or there is none."""
    from unigrpo.data.images import read_image

    try:
        if row.image is not None:
            read_image(row.image, row.where)
    except DataError as error:
        return str(error)
    return None


def _picture(row: Row, section: DataSection, resolution: int) -> np.ndarray | None:
    # Imported here because a task of text needs no library of images.
    from unigrpo.data.images import fit_image, read_image

    return None if row.image is None else fit_image(read_image(row.image, row.where), resolution, section.fit)
