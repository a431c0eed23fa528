"""`unigrpo pipeline FILE.yaml`: stages in order; those that are done and unchanged are skipped, a cut one goes on."""

import gc
import re
import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from unigrpo import report
from unigrpo.cli.pipeline_inputs import made_of
from unigrpo.cli.pipeline_plan import Step, lacking, step_of
from unigrpo.cli.pipeline_records import Record, Records, alone
from unigrpo.cli.pipeline_report import clock, write_report
from unigrpo.cli.pipeline_stages import Stage, stages_of
from unigrpo.cli.verbs import STAGES, VERBS
from unigrpo.config import PipelineConfig
from unigrpo.config.files import write_atomically
from unigrpo.config.load import to_yaml
from unigrpo.errors import ConfigError
from unigrpo.progress import console
from unigrpo.runs import CONFIG

OUTDATED = ".outdated"
"""Marks a run that is to be replaced, until the one that replaces it has really begun and emptied the folder."""


def run(args: list[str]) -> int:
    """Checks every stage, then runs those that are not done."""
    config: PipelineConfig = VERBS["pipeline"].checked(args)
    stages = stages_of(config)
    if config.plan:
        steps = planned(config, stages, Records(Path(config.output)))
        print(report.table([_planned(step) for step in steps]))
        print("".join(f"missing: {line}\n" for line in lacking(steps)), end="")
        return 0
    again = [arg for arg in args if not re.fullmatch(r"(--)?overwrite(=true)?", arg)]
    run_stages(config, stages, shlex.join(["unigrpo", "pipeline", *again]))
    return 0


def run_stages(config: PipelineConfig, stages: dict[str, Stage], command: str) -> None:
    """Runs the stages that are chosen and not done, and writes the report of all.

    Args:
        command: what goes on with the pipeline when it is cut.
    """
    output = Path(config.output)
    if lines := lacking(planned(config, stages, Records(output))):
        raise ConfigError(f"{lines[0]} does not exist: correct it, or put it there (--plan names all).")
    with alone(output):
        records = Records(output)
        for stage in stages.values():
            step = _forced(config, step_of(stage, output, records.all, chosen(config, stages)))
            if not step.runs:
                _say(f"\n{stage.name}: {step.action}, {'; '.join(step.why)}")
                continue
            try:
                _run(step, output, records)
            except BaseException:
                _tell_how(stage, list(stages), command)
                write_report(stages, records)
                raise
        print("\n" + report.table([_row(stage, records) for stage in stages.values()]))
        print(f"Report: {write_report(stages, records)}")


def chosen(config: PipelineConfig, stages: dict[str, Stage]) -> list[str]:
    """The stages that are looked at.

    Raises:
        ConfigError: one that is named does not exist.
    """
    names = list(stages)
    for key, named in (("start", [config.start]), ("until", [config.until]), ("only", config.only)):
        wrong = next((name for name in named if name is not None and name not in names), None)
        if wrong is not None:
            raise ConfigError(f"{key} names {wrong!r}, which is no stage: those are {', '.join(names)}.")
    first = names.index(config.start) if config.start else 0
    last = names.index(config.until) if config.until else len(names) - 1
    found = [name for name in names[first : last + 1] if not config.only or name in config.only]
    if not found:
        raise ConfigError(f"start, until and only leave no stage of {', '.join(names)}: drop one of them.")
    return found


def planned(config: PipelineConfig, stages: dict[str, Stage], records: Records) -> list[Step]:
    """What would be done with each stage as things are now."""
    found, running, output = [], [], Path(config.output)
    for stage in stages.values():
        step = _forced(config, step_of(stage, output, records.all, chosen(config, stages), running))
        running += [stage.name] if step.runs else []
        found.append(step)
    return found


def _forced(config: PipelineConfig, step: Step) -> Step:
    """The step, or a new start where everything is to be replaced."""
    again = config.overwrite and step.action in ("done before", "go on", "run")
    return replace(step, action="start over", why=("overwrite=true",)) if again else step


def _run(step: Step, output: Path, records: Records) -> None:
    """Calls the verb of a stage with its settings as they were checked, and keeps what came of it."""
    stage = step.stage
    _say(f"\n{stage.name}: {stage.verb} -> {stage.folder} ({'; '.join(step.why)})")
    over = _starts_over(step)
    record = _begun(step, records.get(stage.name), over)
    records.put(stage.name, record)
    file = output / f"{stage.name}.yaml"
    write_atomically(file, f"# unigrpo {stage.verb} {shlex.quote(str(file))}\n{to_yaml(stage.config)}")
    again = "resume=true" if stage.has("resume") and not over else "overwrite=true"
    started = time.perf_counter()
    try:
        STAGES[stage.verb].run([str(file), again])
    finally:
        record = replace(record, seconds=round(record.seconds + time.perf_counter() - started, 1))
        records.put(stage.name, record)
        _release()
    files, made = made_of(stage.result)
    ended = time.strftime("%Y-%m-%d %H:%M")
    records.put(stage.name, replace(record, state="done", ended=ended, files=files, made=made))


def _starts_over(step: Step) -> bool:
    """Whether a run that is there is replaced; it is marked, for until then a kill would leave it as if it were new."""
    folder = step.stage.folder
    if step.action == "start over" and step.stage.has("resume") and (folder / CONFIG).is_file():
        (folder / OUTDATED).touch()
    return step.action == "start over" or (folder / OUTDATED).exists()


def _begun(step: Step, before: Record | None, over: bool) -> Record:
    """The record of a stage that is about to run; one that goes on keeps why it was run, and its time."""
    record = Record(**asdict(step.now), state="begun", why=list(step.why))
    if before is None or before.state == "done" or step.action != "go on":
        return record
    return replace(record, why=before.why, seconds=0.0 if over else before.seconds)


def _release() -> None:
    """Gives back the memory of a GPU, which the next stage may want in other processes."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def _tell_how(stage: Stage, names: list[str], command: str) -> None:
    """Says where the pipeline was cut, and how it goes on."""
    goes = "goes on in it" if stage.has("resume") else "runs it again"
    number = names.index(stage.name) + 1
    _say(f"\nStopped in {stage.name}, stage {number} of {len(names)}. What is done stays; the same command {goes}:")
    _say(f"  {command}")


def _say(text: str) -> None:
    console.print(text, style="bold", markup=False, highlight=False, soft_wrap=True)


def _planned(step: Step) -> dict[str, str]:
    return {"stage": step.stage.name, "verb": step.stage.verb, "what": step.action, "why": "; ".join(step.why)}


def _row(stage: Stage, records: Records) -> dict[str, str]:
    record = records.get(stage.name)
    row = {"stage": stage.name, "verb": stage.verb, "time": clock(record.seconds) if record else ""}
    return row | {"folder": str(stage.folder)}
