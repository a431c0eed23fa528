"""Columns from a second file, by key: captions that do not stand beside their pictures."""

from functools import cache
from typing import Any

from unigrpo.config import DataSection, JoinSection
from unigrpo.data.files import LISTS, Record, parse_json
from unigrpo.data.shards.paths import expand, opened
from unigrpo.data.shards.read import read_unit
from unigrpo.data.shards.units import Unit, kind_of
from unigrpo.errors import DataError


def joined(record: Record, section: JoinSection) -> Record:
    """Return a row with the columns that the file has for it.

    Raises:
        DataError: the row has no key, the file nothing for it, or the file cannot be used.
    """
    key = record.values.get(section.key)
    if key is None:
        have = ", ".join(record.values) or "none"
        raise DataError(f"{record.where}: there is no column `{section.key}` to join by. Its columns: {have}.")
    table = _table(section.path, section.on, section.column)
    # A sample's name may have folders that the file leaves out.
    found = table.get(str(key), table.get(str(key).rpartition("/")[2]))
    if found is None:
        raise DataError(f"{record.where}: {section.path} has nothing for the key {str(key)!r}. Correct data.join.key.")
    return Record(record.name, record.where, found | record.values)


@cache
def _table(path: str, on: str, column: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in expand(path):
        rows = _object(file) if kind_of(file) == "json" else None
        if rows is not None:
            found |= {key: value if isinstance(value, dict) else {column: value} for key, value in rows.items()}
            continue
        for row in read_unit(Unit(kind_of(file), file), DataSection(path=file)):
            if isinstance(row, DataError):
                raise row
            if on not in row.values:
                have = ", ".join(row.values) or "none"
                raise DataError(f"{row.where}: there is no column `{on}`. Its columns: {have}. Correct data.join.on.")
            found[str(row.values[on])] = {name: value for name, value in row.values.items() if name != on}
    return found


def _object(file: str) -> dict[str, Any] | None:
    """The object of a .json file, with what belongs to each key; None when it has rows."""
    with opened(file) as content:
        text = content.read()
    if text.count(b"\n{") and text.lstrip()[:1] == b"{":
        return None
    rows = parse_json(text, file)
    return rows if isinstance(rows, dict) and not any(isinstance(rows.get(name), list) for name in LISTS) else None
