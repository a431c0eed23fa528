"""What a sweep remembers of its trials, in trials.json of its folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unigrpo.records import RecordFile

NAME = "trials.json"
State = Literal["begun", "done", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial that was begun."""

    point: str
    choices: Mapping[str, Any]
    """By axis."""
    seed: int
    state: State
    """`begun` it has not ended, `stopped` it fell behind others and was ended."""
    traits: dict[str, Any]
    """What its result depends on."""
    files: dict[str, int] = field(default_factory=dict)
    """The size of each file of the result."""
    seconds: float = 0.0
    """In all its parts that came to an end."""
    why: str = ""
    """Why it failed."""


class TrialRecords(RecordFile[TrialRecord]):
    """The records of a sweep's folder."""

    def __init__(self, folder: Path):
        super().__init__(folder / NAME, TrialRecord, "trials go on from their folders")
