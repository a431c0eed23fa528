"""`unigrpo pipeline FILE.yaml`: stages in order; those that are done and unchanged are skipped, a cut one goes on."""

import hashlib
import json
import re
import time
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from unigrpo import report
from unigrpo.cli.verbs import VERBS, find_verb
from unigrpo.config import PipelineConfig
from unigrpo.config.files import find_config, write_atomically
from unigrpo.errors import ConfigError
from unigrpo.progress import console

DONE = "stages.json"
_REFERENCE = re.compile(r"\{(\w+)\}")


def run(args: list[str]) -> int:
    """Checks every stage, then runs those that are not done."""
    config: PipelineConfig = VERBS["pipeline"].checked(args)
    folder = Path(config.output)
    done = {} if config.overwrite else _done(folder)
    stages = {name: _arguments(config, name) for name in config.stages}
    for name, arguments in stages.items():
        _check(config, name, arguments)
    digests: dict[str, str] = {}
    for name, arguments in stages.items():
        digests[name] = _digest(config, name, arguments, digests)
        before = done.get(name)
        if before and before["digest"] == digests[name]:
            console.print(f"\n{name}: done before, unchanged", style="bold", highlight=False)
            continue
        console.print(f"\n{name}: {config.stages[name].verb} -> {folder / name}", style="bold", highlight=False)
        started = time.perf_counter()
        again = "overwrite=true" if before or config.overwrite or not _resumes(config, name) else "resume=true"
        import_module(VERBS[config.stages[name].verb].module).run([*arguments, again])
        done[name] = {"digest": digests[name], "seconds": round(time.perf_counter() - started, 1)}
        write_atomically(folder / DONE, json.dumps(done, indent=1) + "\n")
    print("\n" + report.table([_row(config, name, done[name]) for name in stages]))
    return 0


def _done(folder: Path) -> dict[str, dict[str, Any]]:
    """What earlier calls finished: digest and seconds of each stage."""
    try:
        return json.loads((folder / DONE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _arguments(config: PipelineConfig, name: str) -> list[str]:
    """A stage as a command line, with references to earlier stages replaced by their folders."""
    earlier = list(config.stages)[: list(config.stages).index(name)]

    def folder(match: re.Match[str]) -> str:
        if match[1] not in earlier:
            known = ", ".join(earlier) or "none"
            raise ConfigError(f"stages.{name} refers to {match[0]}, which is no earlier stage: those are {known}.")
        return str(Path(config.output) / match[1])

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(folder, value)
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return [filled(item) for item in value] if isinstance(value, list) else value

    stage = config.stages[name]
    settings = [f"{key}={json.dumps(filled(value))}" for key, value in stage.settings.items()]
    return [*stage.files, *settings, f"output={Path(config.output) / name}"]


def _check(config: PipelineConfig, name: str, arguments: list[str]) -> None:
    """Raises what is wrong with a stage before the first one starts, as far as that can be known."""
    stage, known = config.stages[name], [verb for verb, it in VERBS.items() if it.schema and verb != "pipeline"]
    try:
        find_verb(stage.verb, known).checked(arguments)
    except ConfigError as error:
        raise ConfigError(f"stages.{name}: {error}") from None


def _resumes(config: PipelineConfig, name: str) -> bool:
    return any(field.name == "resume" for field in fields(VERBS[config.stages[name].verb].config_type()))


def _digest(config: PipelineConfig, name: str, arguments: list[str], digests: dict[str, str]) -> str:
    """Identifies a stage by its settings, the text of its files and the stages before it that it refers to."""
    stage = config.stages[name]
    used = sorted(set(_REFERENCE.findall(json.dumps(stage.settings))) & set(digests))
    parts = [stage.verb, arguments, [find_config(file).read_text(encoding="utf-8") for file in stage.files]]
    return hashlib.sha256(json.dumps([*parts, [digests[one] for one in used]]).encode()).hexdigest()


def _row(config: PipelineConfig, name: str, done: dict[str, Any]) -> dict[str, str]:
    minutes, seconds = divmod(round(done["seconds"]), 60)
    row = {"stage": name, "verb": config.stages[name].verb, "time": f"{minutes}:{seconds:02d}"}
    return row | {"folder": str(Path(config.output) / name)}
