"""Which samples a filter leaves out, and the name of the filter. Each is cheap: no picture is unpacked."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import regex

from unigrpo.config import SampleFilterSection
from unigrpo.data.rows import Row
from unigrpo.errors import ConfigError

LETTER = regex.compile(r"\p{L}")


def unfit(row: Row, section: SampleFilterSection) -> str | None:
    """Return the filter that leaves a row out by its words or the size of its picture; None when it stays."""
    if section.script and not _written_in(section.script, f"{row.prompt}\n{row.response or ''}"):
        return "script"
    if row.image is None or (section.min_side, section.max_side, section.max_aspect) == (None, None, None):
        return None
    size = image_size(row.image)
    if size is None:
        return None  # reading it will say why
    shorter, longer = sorted(size)
    if section.min_side is not None and shorter < section.min_side:
        return "min_side"
    if section.max_side is not None and longer > section.max_side:
        return "max_side"
    return "max_aspect" if section.max_aspect is not None and longer > section.max_aspect * shorter else None


def wrong_length(tokens: int, section: SampleFilterSection) -> str | None:
    """Return the filter that leaves out a sample of so many tokens."""
    if section.min_tokens is not None and tokens < section.min_tokens:
        return "min_tokens"
    return "max_tokens" if section.max_tokens is not None and tokens > section.max_tokens else None


def image_size(image: np.ndarray | Path | bytes) -> tuple[int, int] | None:
    """Return width and height, of a file from its header alone; None when it has no sound one."""
    if isinstance(image, np.ndarray):
        return image.shape[1], image.shape[0]
    from PIL import Image

    from unigrpo.data.images import FORMATS

    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image, formats=FORMATS) as opened:
            return opened.size
    except Exception:  # a broken file, which is named when it is read
        return None


def _written_in(script: str, text: str) -> bool:
    letters = len(LETTER.findall(text))
    return 2 * len(_script(script).findall(text)) > letters or letters == 0


@cache
def _script(name: str) -> "regex.Pattern[str]":
    try:
        return regex.compile(rf"(?V1)[\p{{L}}&&\p{{Script={name}}}]")
    except regex.error:
        raise ConfigError(f"filter.script is {name!r}, which is no Unicode script: write Latin, Han, ...") from None
