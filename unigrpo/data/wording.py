"""How a row is asked: a text with places for its columns."""

import re
from collections.abc import Sequence
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.errors import DataError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLACE = re.compile(r"\{(\w+)\}")


def worded(record: Record, section: DataSection) -> str:
    """Return `data.wording` with the columns of a row at their places; `{prompt}` is the column of the prompt.

    Raises:
        DataError: a column is missing, or holds neither text, nor a number, nor a list of these.
    """

    def filled(place: re.Match[str]) -> str:
        column = next(filter(record.values.__contains__, names(place[1])), None)
        if column is None:
            have = ", ".join(record.values) or "none"
            raise DataError(
                f"{record.where}: data.wording names {{{place[1]}}}, but there is no such column. Its columns: {have}."
            )
        return _written(record.values[column], f"{record.where}: `{column}`")

    def names(name: str) -> list[str]:
        return section.columns.get(name, name).split(";")

    return _PLACE.sub(filled, section.wording)


def lettered(choices: Sequence[str]) -> str:
    """Return choices as lines, each behind its letter."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def _written(value: Any, where: str) -> str:
    if isinstance(value, list | tuple):
        items = [_written(item, where) for item in value]
        return ", ".join(items) if all(isinstance(item, int | float) for item in value) else lettered(items)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where} is {value!r:.80}, but data.wording takes text, numbers and lists of them.")
    return str(value)
