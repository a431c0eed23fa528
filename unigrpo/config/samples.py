"""Sections of the data that say what a sample is made of, and which samples are left out."""

from dataclasses import dataclass
from typing import Literal


@dataclass(kw_only=True)
class ShotsSection:
    """Solved rows in front of every prompt, worded as it is: with the template `chat` as turns, else as text."""

    path: str | None = None
    """The file or data set with the solved rows, read as the section's own is."""
    split: Literal["train", "test", "validation"] = "train"
    """Of a hub's data set, a folder of several, or a generated source: which one."""
    count: int = 4
    """How many stand in front of each prompt: the first ones."""
    by: str | None = None
    """A column whose value the solved rows share with the prompt, such as `subject`."""
    separator: str = "\n\n"
    """`plain`: what stands between solved rows."""


@dataclass(kw_only=True)
class JoinSection:
    """Columns that stand in a file of their own, such as captions; the file is held in memory."""

    path: str = ""
    """A .jsonl, .json, .csv or .parquet file with rows, or a .json object that has a text or a row for each key."""
    key: str = "__key__"
    """The column of the data that is looked up; `__key__` is a sample's name in its tar file."""
    on: str = "key"
    """The column of the file's rows with the keys."""
    column: str = "caption"
    """What the texts of a .json object are called."""


@dataclass(kw_only=True)
class SampleFilterSection:
    """Samples that are left out and counted."""

    min_tokens: int | None = None
    """Fewest tokens of prompt and response."""
    max_tokens: int | None = None
    """Most tokens of prompt and response."""
    min_side: int | None = None
    """Fewest pixels on the shorter side of the image."""
    max_side: int | None = None
    """Most pixels on the longer side of the image."""
    max_aspect: float | None = None
    """Most that the longer side may be over the shorter one."""
    script: str | None = None
    """The Unicode script that more than half of the letters of prompt and response must have, such as Latin, Cyrillic
    or Han."""
