"""What a command remembers between its calls: records by name, in a JSON file."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from unigrpo.config.files import write_atomically
from unigrpo.errors import DataError

Entry = TypeVar("Entry")


class RecordFile(Generic[Entry]):
    """Records of one dataclass, written whenever one changes; one of another version is left out, as if never made."""

    def __init__(self, file: Path, kind: type[Entry], without: str):
        """Reads the file, if it is there.

        Args:
            without: what happens where it is deleted.

        Raises:
            DataError: it cannot be read.
        """
        self.file, self.all = file, _read(file, kind, without)

    def get(self, name: str) -> Entry | None:
        """The record of this name, if there is one."""
        return self.all.get(name)

    def put(self, name: str, record: Entry) -> None:
        """Keeps a record."""
        self.all[name] = record
        plain: dict[str, Any] = {name: asdict(record) for name, record in self.all.items()}  # type: ignore[call-overload]
        write_atomically(self.file, json.dumps(plain, indent=1) + "\n")


def _read(file: Path, kind: type[Entry], without: str) -> dict[str, Entry]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
        return {name: kind(**values) for name, values in found.items() if set(values) == names}
    except FileNotFoundError:
        return {}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}): delete it, and {without}.") from None
