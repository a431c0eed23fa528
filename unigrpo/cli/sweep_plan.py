"""What is to be done with each trial of a sweep, and why."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from unigrpo.cli.pipeline import planned as planned_stages
from unigrpo.cli.pipeline_inputs import gone, inputs_of
from unigrpo.cli.pipeline_plan import FIRST, changes, lacking, traits_of
from unigrpo.cli.pipeline_records import Records, Traits
from unigrpo.cli.pipeline_stages import Stage, stages_of
from unigrpo.cli.sweep_trials import Trial, before_of
from unigrpo.config import SweepConfig
from unigrpo.errors import ConfigError
from unigrpo.sweeps.records import TrialRecord

Action = Literal["run", "go on", "start over", "done before"]


@dataclass(frozen=True)
class Planned:
    """What is to be done with a trial, and why."""

    trial: Trial
    action: Action
    why: tuple[str, ...]
    traits: Traits
    replaces: bool = False
    """Whether it starts over in place of one that is done."""


def missing_before(config: SweepConfig) -> list[str]:
    """Paths that stages before the trials would read, and that do not exist; their settings are checked on the way."""
    found: dict[str, None] = {}
    for seed in config.seeds:
        one = before_of(config, seed)
        try:
            steps = planned_stages(one, stages_of(one), Records(Path(one.output)))
        except ConfigError as error:
            raise ConfigError(re.sub(r"^stages\.", "before.", str(error))) from None
        found |= dict.fromkeys(re.sub(r"^stages\.", "before.", line) for line in lacking(steps))
    return list(found)


def missing_trials(config: SweepConfig, plans: Sequence[Planned]) -> list[str]:
    """Paths that trials would read, and that neither exist nor are made before, each with the first trial of it."""
    found: dict[str, str] = {}
    for one in plans:
        around = before_of(config, one.trial.seed).output
        for key, path in inputs_of(one.trial.stage).items() if one.action != "done before" else ():
            if key in one.traits.inputs and one.traits.inputs[key] is None and not Path(path).is_relative_to(around):
                found.setdefault(f"{key}={path}", one.trial.name)
    return [f"{line} of trial {name}" for line, name in found.items()]


def stages_to_run(config: SweepConfig, seed: int) -> list[str]:
    """The stages before the trials of a seed that are not done."""
    one = before_of(config, seed)
    steps = planned_stages(one, stages_of(one), Records(Path(one.output))) if one.stages else []
    return [step.stage.name for step in steps if step.runs]


def plan_of(config: SweepConfig, trial: Trial, record: TrialRecord | None, will_run: Sequence[str] = ()) -> Planned:
    """What is to be done with a trial.

    Args:
        will_run: stages before it that are not done.
    """
    folder = Path(before_of(config, trial.seed).output)
    now = traits_of(trial.stage, folder, Records(folder).all)
    if record is None:
        return Planned(trial, "run", (FIRST,), now)
    why = _changed(record, now, trial.stage)
    why += [f"reads {one}, which runs" for one in trial.stage.reads if one in will_run]
    if why:
        return Planned(trial, "start over", tuple(why), now, record.state in ("done", "stopped"))
    if record.state in ("begun", "failed"):
        return Planned(trial, "go on", ("was cut" if record.state == "begun" else f"failed: {record.why}",), now)
    if record.state == "stopped":
        if config.early_stop:
            return Planned(trial, "done before", ("fell behind",), now)
        return Planned(trial, "go on", ("fell behind, and early_stop is dropped",), now)
    if lost := gone(trial.stage.result, record.files):
        return Planned(trial, "go on", (lost,), now)
    return Planned(trial, "done before", ("unchanged",), now)


def _changed(record: TrialRecord, now: Traits, stage: Stage) -> list[str]:
    """What has changed of that on which a trial's result depends: what changes its weights, or its evaluation."""
    before = Traits(**record.traits)
    keys = [key for key in {**before.settings, **now.settings} if re.match(r"(tasks\.[^.]+\.)?eval\.", key)]
    seen = [key for key in keys if before.settings.get(key) != now.settings.get(key)]
    return [
        *changes(before, now, stage),
        *(f"{key} {json.dumps(before.settings.get(key))} -> {json.dumps(now.settings.get(key))}" for key in seen),
    ]


def check_replaced(config: SweepConfig, plans: Sequence[Planned]) -> None:
    """Makes sure that no finished trial is replaced unasked.

    Raises:
        ConfigError: one would be.
    """
    lost = [one for one in plans if one.replaces]
    if lost and not config.overwrite:
        raise ConfigError(
            f"{config.output} has {len(lost)} finished trials with other settings, such as {lost[0].trial.name} "
            f"({lost[0].why[0]}): add overwrite=true to run them again in their place, or name another output="
        )


def record_of(planned: Planned) -> TrialRecord:
    """The record of a trial that begins."""
    trial, traits = planned.trial, asdict(planned.traits)
    return TrialRecord(
        point=trial.point.name, choices=dict(trial.point.choices), seed=trial.seed, state="begun", traits=traits
    )
