"""The report of a pipeline: one page about all of its stages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unigrpo.cli.pipeline_inputs import settings_of
from unigrpo.cli.pipeline_plan import FIRST
from unigrpo.cli.pipeline_records import Record, Records
from unigrpo.cli.pipeline_stages import Stage
from unigrpo.reports.page import write_page
from unigrpo.reports.read import tell
from unigrpo.reports.told import Section

NAME = "report.html"
OWN = ("output", "resume", "overwrite")
"""Settings that the pipeline makes itself."""


def write_report(stages: Mapping[str, Stage], records: Records) -> Path:
    """Writes the page into the pipeline's folder, and returns its path."""
    file = records.folder / NAME
    write_page(file, f"Pipeline {records.folder.name}", [_section(one, records) for one in stages.values()])
    return file


def _section(stage: Stage, records: Records) -> Section:
    record = records.get(stage.name)
    return Section(
        title=stage.name,
        verb=stage.verb,
        state=_state(stage, record),
        folder=str(stage.folder),
        time=clock(record.seconds) if record else "",
        ended=record.ended if record else "",
        why=[line for line in record.why if line != FIRST] if record else [],
        settings=_settings(stage, records.folder),
        told=tell(stage.verb, stage.folder),
    )


def _state(stage: Stage, record: Record | None) -> str:
    if record is None:
        return "left out" if stage.skip else "not run"
    return "done" if record.state == "done" else "cut"


def _settings(stage: Stage, output: Path) -> list[tuple[str, str, str]]:
    """What differs from the defaults of the verb."""
    found = settings_of(stage.config, output).items()
    return [
        (key, _shown(value), _shown(default)) for key, (value, default) in found if value != default and key not in OWN
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
