"""What `unigrpo pipeline` is configured by."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class StageSection:
    """One stage: a verb with its settings."""

    verb: str = ""
    """What it does: any verb that makes something for a later stage; `unigrpo pipeline --help` names them first."""
    files: list[str] = field(default_factory=list)
    """Config files its settings are merged over."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the verb, nested as in its config files. `{NAME}` stands for the folder of another stage, which then
    comes first."""
    skip: bool = False
    """Leave it out, with what an earlier call made of it where it is; for overlays."""


@dataclass(kw_only=True)
class PipelineConfig:
    """`unigrpo pipeline`: stages in order, each reading what earlier ones wrote."""

    output: str = "runs/pipeline"
    """Folder of all stages; each has one of its name in it."""
    plan: bool = False
    """Print which stages would run, and why, and run none."""
    overwrite: bool = False
    """Run every chosen stage again, also those that are done."""
    start: str | None = None
    """The first stage that is looked at; those before it stay as they are. `--from STAGE` is the same."""
    until: str | None = None
    """The last stage that is looked at."""
    only: list[str] = field(default_factory=list)
    """The stages that are looked at; by default all."""
    stages: dict[str, StageSection] = field(default_factory=dict)
    """The stages by name, in order."""


def stages_are_given(it: PipelineConfig) -> str | None:
    """There is something to do."""
    return None if it.stages else "stages is empty: name a yaml file that holds them."


def stages_leave_folders_alone(it: PipelineConfig) -> str | None:
    """A stage names a folder, which the pipeline gives to it."""
    for name, stage in it.stages.items():
        if not name.isidentifier():
            return f"stages holds the name {name!r}: use letters, digits and _ only, for it names a folder."
        if "output" in stage.settings or "resume" in stage.settings or "overwrite" in stage.settings:
            return f"stages.{name}.settings holds output, resume or overwrite, which the pipeline sets: drop it."
    return None


PIPELINE_RULES = [stages_are_given, stages_leave_folders_alone]
