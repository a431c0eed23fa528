"""What a pipeline remembers of its stages, in stages.json of its folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unigrpo.errors import ConfigError
from unigrpo.records import RecordFile

NAME, LOCK = "stages.json", ".lock"


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the result of a stage depends on."""

    verb: str
    settings: dict[str, Any]
    """Values by dotted key."""
    inputs: dict[str, str | None]
    """What tells the state of the files, by setting."""
    reads: dict[str, str]
    """What tells the results of other stages, by stage."""


@dataclass(frozen=True, kw_only=True)
class Record(Traits):
    """A stage that was begun."""

    state: Literal["begun", "done"]
    why: list[str]
    """Why it was run."""
    seconds: float = 0.0
    """In all its parts that came to an end."""
    ended: str = ""
    """When it was done, by the clock."""
    files: dict[str, int] = field(default_factory=dict)
    """The size of each file of the result."""
    made: str = ""
    """What tells the result from others."""


class Records(RecordFile[Record]):
    """The records of a pipeline's folder."""

    def __init__(self, folder: Path):
        super().__init__(folder / NAME, Record, "every stage is looked at again")
        self.folder = folder


@contextmanager
def alone(folder: Path, what: str = "pipeline") -> Iterator[None]:
    """Within the block no other pipeline, or what else takes the folder for itself, writes to it.

    Raises:
        ConfigError: one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{folder} is being written by another {what}: wait, or name another output=") from None
        yield
