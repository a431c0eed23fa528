"""What a data section is read in: whole files, or parts of them where there are few."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from unigrpo.config import DataSection
from unigrpo.config.sources import GENERATED, is_remote
from unigrpo.data.shards.paths import expand, opened
from unigrpo.errors import DataError

Kind = Literal["tar", "parquet", "jsonl", "json", "csv", "mme", "folder", "hub", "made"]
LANES = 8
"""Parts that are read side by side. It is part of the order of the samples, so it is no setting."""
BYTES = 4 * 2**20
"""Bytes of a part of a JSONL file."""
ROWS = 1000
"""Rows of a part of a folder saved by `datasets`."""
ENDS: dict[str, Kind] = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "mme",
}


@dataclass(frozen=True)
class Unit:
    """A part of the data that is read from its start, and only one at a time by a lane."""

    kind: Kind
    path: str
    start: int = 0
    """First row group, byte or row; of a hub's data set the number of the shard."""
    stop: int | None = None
    """Behind the last; of a hub's data set the number of shards. None reads to the end."""
    name: str = ""
    """Begins the names of its rows, where the end of the path would not do."""

    @property
    def stem(self) -> str:
        """What the names of its rows begin with."""
        return self.name or PurePosixPath(self.path).name.partition(".")[0]


def kind_of(path: str) -> Kind:
    """Return how a file is read, which the end of its name says.

    Raises:
        DataError: it says nothing that is known.
    """
    name = path.partition("?")[0] if is_remote(path) else path
    found: Kind | None = next((kind for end, kind in ENDS.items() if name.lower().endswith(end)), None)
    if found is None:
        end = PurePosixPath(name).suffix or "a file without an extension"
        raise DataError(f"{path}: cannot read {end}. Use one of {', '.join(ENDS)}.")
    return found


def units_of(section: DataSection) -> list[Unit]:
    """Return the parts of a section's data, in their order.

    Raises:
        DataError: a file does not exist or is of no known kind.
    """
    if section.source in GENERATED:
        return [Unit("made", section.source)]
    assert section.path is not None, "the rules of the section ask for it"
    if section.source == "hub":
        from unigrpo.data.shards.hub import shard_count

        count = shard_count(section)
        return [Unit("hub", section.path, number, count) for number in range(count)]
    if not is_remote(section.path) and Path(section.path).is_dir():
        return _folder(section)
    files = _named([Unit(kind_of(file), file) for file in expand(section.path)])
    return files if len(files) >= LANES else [part for unit in files for part in _parts(unit)]


def digest_of(units: Sequence[Unit]) -> str:
    """Return what tells one list of parts from another."""
    return hashlib.blake2b(json.dumps([astuple(unit) for unit in units]).encode(), digest_size=8).hexdigest()


def _named(units: list[Unit]) -> list[Unit]:
    """Files that end alike are named with so much of their path that they differ."""
    if len({unit.stem for unit in units}) == len(units):
        return units
    folders = [unit.path.rpartition("/")[0] for unit in units]
    common = len(os.path.commonprefix(folders).rpartition("/")[0])  # noqa: RUF071 (addresses are no paths)
    return [replace(unit, name=unit.path[common:].lstrip("/")) for unit in units]


def _folder(section: DataSection) -> list[Unit]:
    from unigrpo.data.files import saved_folder

    count = len(saved_folder(Path(section.path or ""), section.split))  # pyright: ignore[reportArgumentType]
    return [Unit("folder", section.path or "", at, min(at + ROWS, count)) for at in range(0, count, ROWS)]


def _parts(unit: Unit) -> list[Unit]:
    if unit.kind == "parquet":
        return _row_groups(unit)
    if unit.kind != "jsonl" or is_remote(unit.path):
        return [unit]
    with opened(unit.path) as file:
        size = file.seek(0, 2)
    return [replace(unit, start=at, stop=min(at + BYTES, size)) for at in range(0, size, BYTES)] or [unit]


def _row_groups(unit: Unit) -> list[Unit]:
    from pyarrow import ArrowException, parquet

    try:
        with opened(unit.path) as file:
            count = parquet.ParquetFile(file).num_row_groups
    except (ArrowException, OSError) as error:
        if isinstance(error, DataError):
            raise
        return [unit]  # which says what is wrong when it is read, where broken parts are counted
    return [replace(unit, start=group, stop=group + 1) for group in range(count)] or [unit]
