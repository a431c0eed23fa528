"""What `unigrpo pipeline` is configured by."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class StageSection:
    """One stage: a verb with its settings."""

    verb: str = ""
    """What it does: `tokenizer`, `clip`, `sft`, `train` or `eval`."""
    files: list[str] = field(default_factory=list)
    """Config files its settings are merged over."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the verb, nested as in its config files. `{NAME}` stands for the folder of an earlier stage."""


@dataclass(kw_only=True)
class PipelineConfig:
    """`unigrpo pipeline`: stages in order, each reading what earlier ones wrote."""

    output: str = "runs/pipeline"
    """Folder of all stages; each has one of its name in it."""
    overwrite: bool = False
    """Run every stage again, also those that are done."""
    stages: dict[str, StageSection] = field(default_factory=dict)
    """The stages by name, in order."""
