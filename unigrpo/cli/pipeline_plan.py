"""Which stages of a pipeline run, and why."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unigrpo.cli.pipeline_inputs import gone, inputs_of, settings_of, state_of
from unigrpo.cli.pipeline_records import Record, Traits
from unigrpo.cli.pipeline_stages import Stage
from unigrpo.curation.folder import FREE as FREE_OF_CURATION
from unigrpo.runs import FREE_ON_RESUME

Action = Literal["run", "start over", "go on", "done before", "leave out"]
FIRST = "not run before"
FREE: dict[str, tuple[str, ...]] = {"curate": tuple(FREE_OF_CURATION), "tokenize-images": ("workers",)}
"""Beginnings of the keys on which what a verb makes does not depend, beside those that may change in any run."""


@dataclass(frozen=True)
class Step:
    """What is to be done with a stage."""

    stage: Stage
    action: Action
    why: tuple[str, ...]
    now: Traits

    @property
    def runs(self) -> bool:
        """Whether the verb is called."""
        return self.action in ("run", "start over", "go on")


def traits_of(stage: Stage, output: Path, records: Mapping[str, Record]) -> Traits:
    """What a stage depends on as things are now."""
    settings = {key: value for key, (value, _) in settings_of(stage.config, output).items()}
    made = {name: records[name].made for name in stage.reads if name in records}
    folders = [output / name for name in made]
    outside = {key: path for key, path in inputs_of(stage).items() if not _is_in(path, folders)}
    inputs = {key: state_of(path) for key, path in outside.items()}
    return Traits(verb=stage.verb, settings=json.loads(json.dumps(settings)), inputs=inputs, reads=made)


def _is_in(path: str, folders: Collection[Path]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def step_of(
    stage: Stage, output: Path, records: Mapping[str, Record], chosen: Collection[str], will_run: Collection[str] = ()
) -> Step:
    """What is to be done with a stage that nothing was forced on.

    Args:
        chosen: the stages that are looked at.
        will_run: those that run before this one, whose results are not known yet.
    """
    now = traits_of(stage, output, records)
    if stage.skip or stage.name not in chosen:
        return Step(stage, "leave out", ("skip=true" if stage.skip else "not chosen",), now)
    before = records.get(stage.name)
    if before is None:
        return Step(stage, "run", (FIRST,), now)
    if why := (
        *changes(before, now, stage),
        *(f"reads {name}, which runs" for name in stage.reads if name in will_run),
    ):
        return Step(stage, "start over", why, now)
    if before.state == "begun":
        return Step(stage, "go on", ("was cut",), now)
    if missing := gone(stage.result, before.files):
        return Step(stage, "go on", (missing,), now)
    return Step(stage, "done before", ("unchanged", *_idle(before, now, stage)), now)


def changes(before: Traits, now: Traits, stage: Stage) -> list[str]:
    """What of that on which the result of a stage depends has changed, in words."""
    if before.verb != now.verb:
        return [f"verb {before.verb} -> {now.verb}"]
    words = _in_words(before, now, _differing(before, now, stage, free=False))
    for key in sorted(before.inputs.keys() | now.inputs.keys()):
        if key in before.inputs and key in now.inputs and before.inputs[key] != now.inputs[key]:
            words.append(f"{key}: {'the files have changed' if now.inputs[key] else 'there is no such file any more'}")
    different = (name for name in now.reads if before.reads.get(name) != now.reads[name])
    return words + [f"{name} made something else" for name in different]


def _idle(before: Traits, now: Traits, stage: Stage) -> list[str]:
    """Changed settings that change nothing of the result."""
    words = _in_words(before, now, _differing(before, now, stage, free=True))
    return [f"{line} changes nothing that it makes" for line in words]


def _in_words(before: Traits, now: Traits, differing: Sequence[tuple[str, Any, Any]]) -> list[str]:
    """A line for each setting, and one for all of a section that is new or gone."""
    old_sections, new_sections = (_sections(traits) for traits in (before, now))
    lines: dict[str, None] = {}
    for key, old, new in differing:
        section = key.rpartition(".")[0]
        if section not in old_sections:
            lines[f"{section} is new"] = None
        elif section not in new_sections:
            lines[f"{section} is gone"] = None
        else:
            lines[f"{key} {_shown(old)} -> {_shown(new)}"] = None
    return list(lines)


def _sections(traits: Traits) -> set[str]:
    return {key.rpartition(".")[0] for key in traits.settings}


def _differing(before: Traits, now: Traits, stage: Stage, free: bool) -> list[tuple[str, Any, Any]]:
    """The settings that differ, free or not; a new one of a section that was there before was at its default."""
    there, settings = _sections(before), settings_of(stage.config, Path()).items()
    defaults = {key: default for key, (_, default) in settings if key.rpartition(".")[0] in there}
    names, found = _free(stage), []
    for key in dict.fromkeys([*before.settings, *now.settings]):
        old, new = before.settings.get(key, defaults.get(key)), now.settings.get(key)
        if old != new and _own_key(key).startswith(names) == free:
            found.append((key, old, new))
    return found


def _free(stage: Stage) -> tuple[str, ...]:
    names = (*FREE_ON_RESUME, *FREE.get(stage.verb, ()))
    stops = getattr(stage.config, "stop_below", None) is not None
    return tuple(name for name in names if not (stops and name == "held_out"))


def _own_key(key: str) -> str:
    """The key without the task or stream it belongs to: what is free for one is free for each."""
    return re.sub(r"^(tasks|streams)\.[^.]+\.", "", key) + "."


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}..."


def lacking(steps: Sequence[Step]) -> list[str]:
    """The paths, with their settings, that stages would read and that neither exist nor are made before."""
    made = [step.stage.folder for step in steps if step.runs]
    return [
        f"stages.{step.stage.name}.settings.{key}={path}"
        for step in steps
        if step.runs
        for key, path in inputs_of(step.stage).items()
        if key in step.now.inputs and step.now.inputs[key] is None and not _is_in(path, made)
    ]
