"""Rows of a data section, whatever its source: prompt, answer, response, image, id and the other columns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from unigrpo.config import DataSection
from unigrpo.config.sources import COLUMNS, GENERATED, kinds_are_known, source_has_the_task
from unigrpo.data.files import Record, as_plain, read_file
from unigrpo.data.gsm8k import gsm8k
from unigrpo.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the data, as text, with its image as it was found."""

    id: str
    where: str
    """File and line, or source and number, for messages."""
    prompt: str
    answer: str | None = None
    response: str | None = None
    image: np.ndarray | Path | bytes | None = field(default=None, compare=False)
    """[H, W, 3] uint8 pixels, an absolute path, or the bytes of an image file."""
    metadata: dict[str, Any] = field(default_factory=dict)


def read_rows(section: DataSection, require: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a section, at most `limit`.

    Args:
        require: which of `answer`, `response` and `image` every row must have.

    Raises:
        ConfigError: the section contradicts itself, or asks for more rows than its generator has.
        DataError: a file or a row cannot be used; the message names the file and the line.
    """
    _check(section)
    rows: list[Row] = []
    ids: dict[str, str] = {}
    for record in _records(section):
        if section.limit is not None and len(rows) >= section.limit:
            break
        row = _row(record, section, require)
        if row.id in ids:
            raise DataError(
                f"{row.where}: the id {row.id!r} is that of {ids[row.id]} too. Make ids unique, or drop them."
            )
        ids[row.id] = row.where
        rows.append(row)
    if not rows:
        raise DataError(
            f"{section.path or section.source} has no rows (data.limit is {section.limit}). Give it at least one."
        )
    return rows


def _records(section: DataSection) -> Iterable[Record]:
    # Imported here because reading a file needs none of them.
    if section.source in ("arithmetic", "countdown"):
        from unigrpo.data import generators

        return getattr(generators, section.source)(section)
    if section.source == "shapes":
        from unigrpo.data.world_rows import shapes

        return shapes(section)
    if section.source == "digits":
        from unigrpo.data.digits import digits

        return digits(section)
    assert section.path is not None
    records = read_file(section.path, section.split)
    return map(gsm8k, records) if section.source == "gsm8k" else records


def _check(section: DataSection) -> None:
    reads_file = section.source not in GENERATED
    if reads_file and section.path is None:
        raise ConfigError(f"data.path is not set, but data.source={section.source} reads a file: set data.path.")
    if not reads_file and section.path is not None:
        raise ConfigError(
            f"data.path is {section.path}, but data.source={section.source} reads no file: set "
            "data.source=file, or drop it."
        )
    if section.columns and section.source != "file":
        raise ConfigError(f"data.columns is set, but data.source={section.source} names its own columns: drop it.")
    for key in section.columns:
        if key not in COLUMNS:
            close = get_close_matches(key, COLUMNS, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"It maps {', '.join(COLUMNS)}."
            raise ConfigError(
                f"data.columns.{key} is not a column to map. {hint} Other columns are kept under their own name."
            )
    problem = source_has_the_task(section, "data.") or kinds_are_known(section, "data.")
    if problem:
        raise ConfigError(problem)


def _row(record: Record, section: DataSection, require: tuple[str, ...]) -> Row:
    found: dict[str, Any] = {}
    for name in COLUMNS:
        column = section.columns.get(name, name)
        needed = name == "prompt" or name in require
        if column not in record.values and (name in section.columns or needed):
            raise _missing(record, name, column)
        found[name] = _image(record, column, section) if name == "image" else _text(record, column, name)
        if found[name] is None and needed:
            raise DataError(
                f"{record.where}: `{column}` is empty, but every row needs {_article(name)}. Fill it, or "
                "remove the row."
            )
    used = {section.columns.get(name, name) for name in COLUMNS}
    metadata = {key: as_plain(value) for key, value in record.values.items() if key not in used}
    return Row(**{**found, "id": found["id"] or record.name}, where=record.where, metadata=metadata)


def _image(record: Record, column: str, section: DataSection) -> np.ndarray | Path | bytes | None:
    """Return an image as it stands in its row; a path starts from `image_root`, or from the folder of the file."""
    value = record.values.get(column)
    if isinstance(value, dict) and value.keys() <= {"bytes", "path"}:  # as `datasets` stores images
        value = value.get("bytes") or value.get("path")
    if isinstance(value, np.ndarray):
        return value
    if not value:
        return None
    if isinstance(value, str):
        return (Path(section.image_root or Path(section.path or "").parent) / value).absolute()
    if not isinstance(value, bytes):
        raise DataError(
            f"{record.where}: `{column}` is {value!r:.80} ({type(value).__name__}), but an image is the path of a "
            "file. Write it as a string."
        )
    return value


def _text(record: Record, column: str, name: str) -> str | None:
    """Return a value as it is written: "007" stays "007", and the number 12 becomes "12"."""
    value = record.values.get(column)
    if value is None or value == "" or value != value:
        return None
    if not isinstance(value, str) and (
        name == "prompt" or isinstance(value, bool) or not isinstance(value, int | float)
    ):
        raise DataError(
            f"{record.where}: `{column}` is {value!r:.80} ({type(value).__name__}), but "
            f"{_article(name)} is text. Write it as a string."
        )
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{record.where}: `{column}` holds half a surrogate pair at character {error.start}. Remove it."
        ) from None
    return text


def _missing(record: Record, name: str, column: str) -> DataError:
    have = ", ".join(record.values) or "none"
    if name == column:
        fix = f"Say which one holds the {name}: data.columns.{name}=COLUMN."
    else:
        close = get_close_matches(column, record.values, n=1)
        fix = f"Correct data.columns.{name}" + (f"; did you mean `{close[0]}`?" if close else ".")
    return DataError(f"{record.where}: there is no column `{column}`. Its columns: {have}. {fix}")


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'ai' else 'a'} {name}"
