"""Reading one part of the data: rows as they stand in it, nothing coerced."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from unigrpo.config import DataSection
from unigrpo.config.sources import is_remote
from unigrpo.data.files import Record, json_rows, numbered, parse_json, record_of, saved_folder
from unigrpo.data.gsm8k import gsm8k
from unigrpo.data.shards import hub, mme, tars
from unigrpo.data.shards.paths import opened
from unigrpo.data.shards.units import Unit
from unigrpo.errors import DataError

TRIES = 3
"""Times that a part behind a network is opened before it counts as broken."""
Rows = Iterator[Record | DataError]


def read_unit(unit: Unit, section: DataSection) -> Rows:
    """Yield the rows of a part; a row that cannot be read is an error in its place.

    Raises:
        DataError: what is left of the part cannot be read.
    """
    rows = _again(unit, section) if is_remote(unit.path) else _read(unit, section)
    if section.source != "gsm8k":
        yield from rows
        return
    for row in rows:
        try:
            yield row if isinstance(row, DataError) else gsm8k(row)
        except DataError as error:
            yield error


def _again(unit: Unit, section: DataSection) -> Rows:
    """A connection that breaks is opened again, and goes on behind the rows that were read."""
    count = 0
    for left in reversed(range(TRIES)):
        try:
            for row in islice(_read(unit, section), count, None):
                count += 1
                yield row
            return
        except (DataError, OSError) as error:
            if left == 0:
                raise error if isinstance(error, DataError) else DataError(f"{unit.path}: {error}.") from error


def _read(unit: Unit, section: DataSection) -> Rows:
    if unit.kind == "made":
        from unigrpo.data.rows import made

        yield from made(section)
    elif unit.kind == "hub":
        yield from _places(unit, "row", hub.rows_of(section, unit.start, unit.stop or 1), unit.start)
    elif unit.kind == "folder":
        data: Any = saved_folder(Path(unit.path), section.split)
        part = range(unit.start, len(data) if unit.stop is None else unit.stop)
        yield from numbered(Path(unit.path), "row", data.select(part), unit.start + 1)
    else:
        with opened(unit.path) as file:
            yield from {
                "tar": lambda: tars.samples(unit.path, file, unit.stem),
                "parquet": lambda: _parquet(unit, file),
                "jsonl": lambda: _lines(unit, file),
                "json": lambda: _list(unit, file),
                "csv": lambda: _csv(unit, file),
                "mme": lambda: mme.rows(unit.path, file, unit.stem),
            }[unit.kind]()


def _places(unit: Unit, word: str, rows: Iterable[Any], part: int) -> Rows:
    for number, row in enumerate(rows, start=1):
        name = f"{unit.stem}:{part}:{number}"
        yield Record(name, f"{unit.path} part {part} {word} {number}", row)


def _parquet(unit: Unit, file: IO[bytes]) -> Rows:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(file)
        sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        groups = range(unit.start, len(sizes) if unit.stop is None else unit.stop)
        number = sum(sizes[: unit.start])
        for batch in table.iter_batches(batch_size=256, row_groups=list(groups)) if sizes else ():
            for row in batch.to_pylist():
                number += 1
                yield Record(f"{unit.stem}:{number}", f"{unit.path} row {number}", row)
    except (ArrowException, OSError) as error:
        raise DataError(f"{unit.path}: cannot be read as parquet ({error}). Is it complete?") from error


def _lines(unit: Unit, file: IO[bytes]) -> Rows:
    """The lines that begin in the part; later parts of a file do not know their lines' numbers, but their bytes'."""
    whole = unit.start == 0
    if not whole:
        file.seek(unit.start - 1)
        file.readline()
    at, number = (0, 0) if whole else (file.tell(), 0)
    while unit.stop is None or at < unit.stop:
        line = file.readline()
        if not line:
            return
        number += 1
        name, place = ("line", number) if whole else ("byte", at)
        at += len(line)
        if line.strip():
            yield _line(unit, name, place, line)


def _line(unit: Unit, word: str, place: int, line: bytes) -> Record | DataError:
    try:
        row = parse_json(line.rstrip(), f"{unit.path} {word} {place}")
        found = record_of(Path(unit.path), word, place, row)
    except DataError as error:
        return error
    # Bytes and lines are numbered apart, or two rows could have one name.
    return Record(f"{unit.stem}:{'' if word == 'line' else '@'}{place}", found.where, found.values)


def _list(unit: Unit, file: IO[bytes]) -> Rows:
    yield from numbered(Path(unit.path), "row", json_rows(file.read(), unit.path))


def _csv(unit: Unit, file: IO[bytes]) -> Rows:
    csv.field_size_limit(sys.maxsize)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    separator = "\t" if ".tsv" in Path(unit.path).suffixes else ","
    try:
        reader = csv.DictReader(text, delimiter=separator, strict=True)
        for row in reader:
            line = f"{unit.path} line {reader.line_num}"
            if None in row or None in row.values():
                yield DataError(f"{line}: it has not as many columns as the header. Correct it.")
            else:
                yield Record(f"{unit.stem}:{reader.line_num}", line, dict(row))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{unit.path}: cannot be read as CSV ({error}). Save it as UTF-8, with quotes closed."
        ) from None
