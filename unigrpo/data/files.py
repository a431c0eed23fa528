"""Reading files of rows, with nothing coerced: JSON with the standard library, numbers with their literal text."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unigrpo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

SUFFIXES = (".jsonl", ".json", ".parquet")
LISTS = ("questions", "annotations", "data", "rows")
"""What the rows of a .json file may be called, where other things stand beside them."""


@dataclass(frozen=True)
class Record:
    """One row as it stands in its file."""

    name: str
    """`file-stem:number`, the row's id unless it has one of its own."""
    where: str
    values: dict[str, Any]


class Literal(float):
    """A float that remembers how it was written, because 1e3 is no answer to 1000.0."""

    text: str

    def __new__(cls, text: str) -> "Literal":
        """Keep the text beside its value."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def as_plain(value: Any) -> Any:
    """Return a value of a JSON document with ordinary floats in it."""
    if isinstance(value, Literal):
        return float(value)
    if isinstance(value, list):
        return [as_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    return value


def read_file(path: str, split: str) -> Iterator[Record]:
    """Read a .jsonl, .json or .parquet file, or a folder saved by `datasets`.

    Args:
        split: which dataset to take of a folder that holds several.
    """
    file = Path(path)
    if file.is_dir():
        return numbered(file, "row", saved_folder(file, split))
    if not file.exists():
        raise DataError(f"{path} does not exist. {_suggestion(file)}")
    if not os.access(file, os.R_OK):
        raise DataError(f"{path} cannot be read: permission denied. Allow it, or give another file.")
    if file.suffix == ".jsonl":
        return _json_lines(file)
    if file.suffix == ".json":
        return numbered(file, "row", _json_list(file))
    if file.suffix == ".parquet":
        return numbered(file, "row", _parquet(file))
    raise DataError(
        f"{path}: cannot read {file.suffix or 'a file without an extension'}. Use one of {', '.join(SUFFIXES)}."
    )


def numbered(file: Path, unit: str, rows: Iterable[Any], first: int = 1) -> Iterator[Record]:
    """Name the rows of a file by their numbers; `unit` is what a message calls one."""
    for number, row in enumerate(rows, start=first):
        yield record_of(file, unit, number, row)


def record_of(file: Path, unit: str, number: int, row: Any) -> Record:
    """Name a row, which must be an object."""
    where = f"{file} {unit} {number}"
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: found {row!r:.60} ({type(row).__name__}), but a row is an object with named columns."
        )
    return Record(f"{file.stem}:{number}", where, row)


def _json_lines(file: Path) -> Iterator[Record]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield record_of(file, "line", number, parse_json(line.rstrip(), f"{file} line {number}"))


def _json_list(file: Path) -> list[Any]:
    return json_rows(file.read_bytes(), str(file))


def json_rows(content: bytes, where: str) -> list[Any]:
    """Return the rows of a .json file: a list, alone or under one of `LISTS`, an object of rows by id, or JSON lines.

    Raises:
        DataError: it is none of these.
    """
    lines = content.strip().split(b"\n")
    if len(lines) > 1 and all(line.strip()[:1] == b"{" and line.strip()[-1:] == b"}" for line in (lines[0], lines[1])):
        return [parse_json(line, f"{where} line {at}") for at, line in enumerate(lines, start=1) if line.strip()]
    rows = parse_json(content, where)
    if isinstance(rows, dict):
        rows = next((rows[name] for name in LISTS if isinstance(rows.get(name), list)), rows)
    if isinstance(rows, dict) and rows and all(isinstance(row, dict) for row in rows.values()):
        rows = [{"id": name, **row} for name, row in rows.items()]
    if not isinstance(rows, list):
        raise DataError(
            f"{where}: found one {type(rows).__name__}, but a .json file holds a list of rows. Is it .jsonl?"
        )
    return rows


def parse_json(text: bytes, where: str) -> Any:
    """Return the value of a JSON document, with floats as `Literal`."""
    try:
        return json.loads(text.decode("utf-8-sig"), parse_float=Literal)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except RecursionError:
        raise DataError(f"{where}: the JSON is nested too deeply. Flatten it.") from None
    except json.JSONDecodeError as error:
        at = f"column {error.colno}" if error.lineno == 1 else f"line {error.lineno}, column {error.colno}"
        fix = "Write rows on lines of their own to a .jsonl file" if error.msg == "Extra data" else "Correct it"
        raise DataError(f"{where}: broken JSON at {at}: {error.msg}. {fix}, or remove the row.") from None
    except ValueError as error:
        raise DataError(f"{where}: a number cannot be read: {error}. Write it as a string.") from None


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as parquet ({error}). Is it complete?") from error


def saved_folder(folder: Path, split: str) -> "Dataset":
    """Open a folder saved by `datasets`, pictures undecoded."""
    from datasets import DatasetDict, load_from_disk

    try:
        data = load_from_disk(str(folder))
    except (FileNotFoundError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{folder} is a folder that `datasets` did not save ({reason}). Give a file, or a folder made by its "
            "save_to_disk."
        ) from error
    if not isinstance(data, DatasetDict):
        return undecoded(data)
    if split not in data:
        raise DataError(
            f"{folder} has no split `{split}`, only {', '.join(map(str, data))}: set data.split to one of them."
        )
    return undecoded(data[split])


def undecoded(data: "Dataset") -> "Dataset":
    """Leave images as the bytes of their files, so that each is read with our limits and its row can be named."""
    from datasets import Image

    for name, feature in (data.features or {}).items():
        if isinstance(feature, Image):
            data = data.cast_column(name, Image(decode=False))
    return data.with_format(None)


def _suggestion(file: Path) -> str:
    if not file.parent.is_dir():
        return f"Nor does the folder {file.parent}; paths are taken from {Path.cwd()}."
    close = get_close_matches(file.name, [sibling.name for sibling in file.parent.iterdir()], n=1)
    return f"Did you mean {file.parent / close[0]}?" if close else f"{file.parent} holds nothing of a similar name."
