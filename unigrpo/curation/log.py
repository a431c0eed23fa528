"""The log of a teacher's answers: one line each, written as soon as it comes, so that none is paid for twice."""

import fcntl
import json
from collections.abc import Container
from pathlib import Path
from types import TracebackType

from unigrpo.curation.requests import Named, Request
from unigrpo.curation.said import Said
from unigrpo.errors import ConfigError, DataError

NAME = "answers.jsonl"


class Log:
    """A file that is only ever added to, by one process at a time.

    What a kill cut short is the last line at most; it is taken off when the file is opened again.
    """

    def __init__(self, folder: Path) -> None:
        """Open or make `answers.jsonl` in a folder.

        Raises:
            ConfigError: another process has it open.
        """
        self.path = folder / NAME
        self._file = self.path.open("ab+", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigError(f"{folder} is being curated by another process: wait, or name another output=") from None
        self._mend()

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def read(self, wanted: Container[Named]) -> dict[Named, Said]:
        """Return the answers that are wanted; of one that was given twice, the first.

        Raises:
            DataError: a line is broken.
        """
        found: dict[Named, Said] = {}
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    values = json.loads(line)
                    name = (values.pop("id"), values.pop("sample"), values.pop("key"))
                    if name in wanted:
                        found.setdefault(name, Said(**values))
                except (AttributeError, KeyError, TypeError, ValueError) as error:
                    raise DataError(
                        f"{self.path} line {number} is no answer ({type(error).__name__}: {error}): remove the line."
                    ) from None
        return found

    def add(self, request: Request, said: Said) -> None:
        """Keep an answer; it is with the system, and safe from whatever becomes of this process, on return."""
        name = dict(zip(("id", "sample", "key"), request.name, strict=True))
        line = json.dumps({**name, **said.plain()}).encode() + b"\n"
        while line:
            line = line[self._file.write(line) :]

    def _mend(self) -> None:
        """Take off a last line that has no end."""
        size, rest = self._file.seek(0, 2), b""
        at = size
        while at and b"\n" not in rest:
            at = max(0, at - 65536)
            self._file.seek(at)
            rest = self._file.read(65536)
        whole = at + rest.rfind(b"\n") + 1
        if whole < size:
            self._file.truncate(whole)
