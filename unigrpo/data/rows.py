"""Rows of a data section, whatever its source: prompt, answer, response, id and the other columns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.files import Record, as_plain, read_file
from unigrpo.data.gsm8k import gsm8k
from unigrpo.errors import ConfigError, DataError

COLUMNS = ("prompt", "answer", "response", "id")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the data, as text."""

    id: str
    where: str
    """File and line, or source and number, for messages."""
    prompt: str
    answer: str | None = None
    response: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def read_rows(section: DataSection, require: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a section, at most `limit`.

    Args:
        require: which of `answer` and `response` every row must have.

    Raises:
        ConfigError: the section contradicts itself, or asks for more rows than its generator has.
        DataError: a file or a row cannot be used; the message names the file and the line.
    """
    _check(section)
    records, columns = _records(section), section.columns
    rows: list[Row] = []
    ids: dict[str, str] = {}
    for record in records:
        if section.limit is not None and len(rows) >= section.limit:
            break
        row = _row(record, columns, require)
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
    if section.source in ("arithmetic", "countdown"):
        # Imported here because reading a file needs none of it.
        from unigrpo.data import generators

        return getattr(generators, section.source)(section)
    assert section.path is not None
    records = read_file(section.path, section.split)
    return map(gsm8k, records) if section.source == "gsm8k" else records


def _check(section: DataSection) -> None:
    reads_file = section.source in ("file", "gsm8k")
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


def _row(record: Record, columns: dict[str, str], require: tuple[str, ...]) -> Row:
    found = {}
    for name in COLUMNS:
        column = columns.get(name, name)
        if column not in record.values and (name in columns or name == "prompt" or name in require):
            raise _missing(record, name, column)
        found[name] = _text(record, column, name)
        if found[name] is None and (name == "prompt" or name in require):
            raise DataError(
                f"{record.where}: `{column}` is empty, but every row needs {_article(name)}. Fill it, or "
                "remove the row."
            )
    used = {columns.get(name, name) for name in COLUMNS}
    metadata = {key: as_plain(value) for key, value in record.values.items() if key not in used}
    assert found["prompt"] is not None
    return Row(
        id=found["id"] or record.name,
        where=record.where,
        prompt=found["prompt"],
        answer=found["answer"],
        response=found["response"],
        metadata=metadata,
    )


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
