"""Rows of a data section, whatever its source: prompt, answer, response, image, id and the other columns."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unigrpo.config import DataSection
from unigrpo.config.sources import COLUMNS, DATA_RULES, GENERATED, is_pattern
from unigrpo.data.files import SUFFIXES, Record, as_plain, read_file
from unigrpo.data.gsm8k import gsm8k
from unigrpo.data.wording import worded
from unigrpo.errors import ConfigError, DataError

HISTORY = "__history__"
"""The column with the turns before the prompt, where a layout found some."""
SHARDS = (".tar", ".tar.gz", ".tgz", ".csv", ".tsv")
"""Files that are read as parts of a data set are."""


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
    history: tuple[tuple[str, str], ...] = ()
    """Turns before the prompt: who spoke, and what was said."""
    metadata: dict[str, Any] = field(default_factory=dict)


def read_rows(section: DataSection, require: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a section, at most `limit`.

    Args:
        require: which of `answer`, `response` and `image` every row must have.

    Raises:
        ConfigError: the section contradicts itself, or asks for more rows than its generator has.
        DataError: a file or a row cannot be used; the message names the file and the line.
    """
    rows: list[Row] = []
    ids: dict[str, str] = {}
    for row in islice(iter_rows(section, require), section.limit):
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


def iter_rows(section: DataSection, require: tuple[str, ...] = ()) -> Iterator[Row]:
    """Yield the rows of a section one after the other, all of them, and leave out as many broken ones as may be.

    Raises:
        ConfigError: the section contradicts itself, or asks for more rows than its generator has.
        DataError: a file or a row cannot be used; the message names the file and the line.
    """
    from unigrpo.data.shards.broken import Skipped, Tally

    _check(section)
    tally = Tally(section.path or section.source, section.max_broken)
    for record in _records(section):
        try:
            found = [record] if isinstance(record, DataError) else expand_record(record, section)
        except DataError as error:
            found = [error]
        for one in found:
            try:
                row = one if isinstance(one, DataError) else row_of(one, section, require)
            except DataError as error:
                row = error
            tally.add(Skipped(str(row), broken=True) if isinstance(row, DataError) else row)
            if isinstance(row, Row):
                yield row
    tally.end()


def expand_record(record: Record, section: DataSection) -> list[Record]:
    """Return what a row stands for once it has the columns of a second file, and those of its layout.

    Raises:
        DataError: it has not what these need.
    """
    from unigrpo.data.shards.join import joined
    from unigrpo.data.shards.layouts import expand

    return expand(joined(record, section.join) if section.join else record, section)


def _records(section: DataSection) -> Iterable[Record | DataError]:
    if section.source in GENERATED:
        return made(section)
    assert section.path is not None
    several = section.source == "hub" or is_pattern(section.path)
    other = not section.path.endswith(SUFFIXES) and Path(section.path).is_file()
    if several or other or section.path.endswith(SHARDS) or section.max_broken:
        return _parts(section)
    records = read_file(section.path, section.split)
    return map(gsm8k, records) if section.source == "gsm8k" else records


def _parts(section: DataSection) -> Iterator[Record | DataError]:
    """The rows of all parts, in their order; a part that is damaged counts as one broken row."""
    from unigrpo.data.shards.read import read_unit
    from unigrpo.data.shards.units import units_of

    for unit in units_of(section):
        try:
            yield from read_unit(unit, section)
        except DataError as error:
            yield error


def made(section: DataSection) -> Iterable[Record]:
    """Return the rows of a source that makes them."""
    # Imported here because reading a file needs none of them.
    if section.source in ("arithmetic", "countdown"):
        from unigrpo.data import generators

        return getattr(generators, section.source)(section)
    if section.source == "shapes":
        from unigrpo.data.world_rows import shapes

        return shapes(section)
    from unigrpo.data.digits import digits

    return digits(section)


def _check(section: DataSection) -> None:
    reads_file = section.source not in GENERATED
    if reads_file and section.path is None:
        raise ConfigError(f"data.path is not set, but data.source={section.source} reads a file: set data.path.")
    if not reads_file and section.path is not None:
        raise ConfigError(
            f"data.path is {section.path}, but data.source={section.source} reads no file: set "
            "data.source=file, or drop it."
        )
    if section.columns and section.source not in ("file", "hub"):
        raise ConfigError(f"data.columns is set, but data.source={section.source} names its own columns: drop it.")
    for key in section.columns:
        if key not in COLUMNS:
            close = get_close_matches(key, COLUMNS, n=1)
            hint = f"Did you mean `{close[0]}`?" if close else f"It maps {', '.join(COLUMNS)}."
            raise ConfigError(
                f"data.columns.{key} is not a column to map. {hint} Other columns are kept under their own name."
            )
    problem = next(filter(None, (rule(section, "data.") for rule in DATA_RULES)), None)
    if problem:
        raise ConfigError(problem)


def row_of(record: Record, section: DataSection, require: tuple[str, ...], asks: bool = True) -> Row:
    """Return a row with its columns under our names.

    Args:
        asks: whether it must have a prompt.

    Raises:
        DataError: a column is missing, empty, or of the wrong kind.
    """
    if section.wording:
        record = Record(record.name, record.where, record.values | {"prompt": worded(record, section)})
        section = replace(section, columns={k: v for k, v in section.columns.items() if k != "prompt"})
    found: dict[str, Any] = {}
    columns = {name: _first(record, section.columns.get(name, name)) for name in COLUMNS}
    for name, column in columns.items():
        needed = (name == "prompt" and asks and section.layout != "text") or name in require
        if column not in record.values and (name in section.columns or needed):
            raise _missing(record, name, column)
        found[name] = _image(record, column, section) if name == "image" else _text(record, column, name)
        if found[name] is None and needed:
            raise DataError(
                f"{record.where}: `{column}` is empty, but every row needs {_article(name)}. Fill it, or "
                "remove the row."
            )
    used = {*columns.values(), HISTORY}
    metadata = {key: as_plain(value) for key, value in record.values.items() if key not in used}
    given = {"id": found["id"] or record.name, "prompt": found["prompt"] or ""}
    history = record.values.get(HISTORY, ())
    return Row(**{**found, **given}, where=record.where, history=history, metadata=metadata)


def _first(record: Record, columns: str) -> str:
    """The first of `a;b` that a row has; of one column that one."""
    names = columns.split(";")
    return next((name for name in names if name in record.values), names[0])


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
