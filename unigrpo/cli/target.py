"""`unigrpo eval RUN` and `unigrpo generate RUN`: a folder as the first argument stands for the settings it implies."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unigrpo.config import (
    DataSection,
    GenerateConfig,
    ImageTokenizerSection,
    ModelSection,
    SamplingSection,
    SFTConfig,
    StreamSection,
    TaskSection,
    TrainConfig,
    streams_of,
    tasks_of,
)
from unigrpo.config.files import find_config
from unigrpo.config.load import load_config
from unigrpo.config.source import read_args
from unigrpo.config.tasks import ALONE
from unigrpo.errors import ConfigError
from unigrpo.runs import CONFIG, MARK


def section_asked(folder: Path, task: str) -> DataSection | None:
    """Where a run takes its prompts of a task from, those held out if it has some; None for other folders and tasks."""
    run = next((place for place in (folder, folder.parent) if _command(place)), None)
    config = _config(run) if run else None
    if config is None:
        return None
    tasks = tasks_of(config) if isinstance(config, TrainConfig) else streams_of(config)
    name = _chosen({name: found.data.task for name, found in tasks.items()}, None, task)
    return None if name is None else _data(tasks[name])


def expand(args: list[str], verb: str) -> list[str]:
    """Replaces a leading folder by settings; those given on the command line come later and win.

    A model folder sets `model.path`. A run's folder, or a checkpoint in it, also brings the prompts, the sampling and
    the rewards it was trained with, unless a yaml file is given. Of a run of several tasks, `generate` takes the one
    called `of`, or the first of the given `task`, or the first.

    Raises:
        ConfigError: the first argument is meant as a folder, and there is none, or its run has no task called `of`.
    """
    if not args or "=" in args[0] or args[0].startswith("-") or args[0].endswith((".yaml", ".yml")):
        return args
    if not Path(args[0]).is_dir():
        raise ConfigError(f"{args[0]} is no folder of a run or a model: name one, or set model.path=FOLDER.")
    folder, rest = Path(args[0]), args[1:]
    run = next((place for place in (folder, folder.parent) if _command(place)), None)
    model = folder / "model" if run == folder else folder
    files = [arg for arg in rest if arg.endswith((".yaml", ".yml")) and "=" not in arg]
    implied, done = {}, []
    if run and not files:
        implied = _asked(run, rest) if verb == "generate" else _evaluated(run)
        # What `of` chose is among the settings now.
        done = ["of=null"] if verb == "generate" else []
    settings = [f"{key}={json.dumps(value)}" for key, value in ({"model.path": str(model)} | implied).items()]
    return files + settings + [arg for arg in rest if arg not in files] + done


def _command(folder: Path) -> str | None:
    """The verb a run was started with, from the first line of its config."""
    try:
        first = (folder / CONFIG).read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return None
    return first.removeprefix(MARK).split()[0] if first.startswith(MARK) else None


def _config(run: Path) -> TrainConfig | SFTConfig | None:
    """The settings of a run that made a policy."""
    schema = {"train": TrainConfig, "sft": SFTConfig}.get(_command(run) or "")
    return load_config(schema, [str(run / CONFIG)]) if schema else None


def image_tokenizer_of(folder: str) -> ImageTokenizerSection | None:
    """The image tokenizer of a run, by its folder or that of a checkpoint in it; None where it has none."""
    run = next((place for place in (Path(folder), Path(folder).parent) if _command(place)), None)
    config = _config(run) if run else None
    found = config.model.image_tokenizer if config else None
    return found if found and (found.path or found.preset) else None


def _evaluated(run: Path) -> dict[str, Any]:
    """What an evaluation takes from a run: held-out prompts, sampling and rewards of all its tasks."""
    config = _config(run)
    if isinstance(config, SFTConfig):
        data = {} if config.streams else {"data": asdict(config.held_out or config.data)}
        return {"model.image_tokenizer": asdict(config.model.image_tokenizer)} | data
    if config is None:
        return {}
    found = {"model.image_tokenizer": asdict(config.model.image_tokenizer)}
    found |= {"model.legacy_visible_pads": config.model.legacy_visible_pads}
    tasks = {
        name: asdict(task)
        | {"data": asdict(task.eval or task.data), "eval": None, "weight": 1.0, "rollout": _sampling(task, config)}
        for name, task in tasks_of(config).items()
    }
    if config.tasks:
        return found | {"tasks": tasks}
    alone = tasks[ALONE]
    return found | {"data": alone["data"], "rollout": alone["rollout"], "rewards": alone["rewards"]}


def _asked(run: Path, rest: list[str]) -> dict[str, Any]:
    """What `generate` takes from a run: how one of its tasks asks and samples, and the images it needs."""
    config, given = _config(run), {}
    for source in read_args(GenerateConfig, rest):
        given |= source.values
    if config is None:
        return {}
    tasks = tasks_of(config) if isinstance(config, TrainConfig) else streams_of(config)
    name = _chosen({name: task.data.task for name, task in tasks.items()}, given.get("of"), given.get("task"))
    if name is None:
        return _pictured(config.model, given["task"])
    chosen = tasks[name]
    looks = "image" in given or ("file" in given and chosen.data.task != "text")
    found = _pictured(config.model, chosen.data.task) | _asks(chosen, looks)
    if isinstance(config, TrainConfig) and isinstance(chosen, TaskSection):
        found |= {"rollout": _sampling(chosen, config)}
    return found


def _chosen(tasks: dict[str, str], name: str | None, kind: str | None) -> str | None:
    """The name of the task to ask like; None when the run has none of this kind."""
    if name is None:
        return next((name for name, found in tasks.items() if kind in (None, found)), None)
    if ALONE in tasks:
        raise ConfigError(f"of is {name!r}, but the run has only one task: drop it.")
    if name not in tasks:
        raise ConfigError(f"of is {name!r}, which is no task of the run: it has {', '.join(tasks)}.")
    if kind not in (None, tasks[name]):
        raise ConfigError(f"of is {name!r}, whose task is {tasks[name]}, but task is {kind}: drop one of them.")
    return name


def _pictured(model: ModelSection, task: str) -> dict[str, Any]:
    """The image tokenizer of a run, and how its pads are seen, for a task that has to do with them."""
    found = {"model.image_tokenizer": asdict(model.image_tokenizer)} if task != "text" else {}
    return found | ({"model.legacy_visible_pads": model.legacy_visible_pads} if task == "image" else {})


def _asks(task: TaskSection | StreamSection, looks: bool) -> dict[str, Any]:
    data = _data(task)
    names = ["task", "template", "instruction", "legacy_eot", "max_prompt_length", *["fit"] * looks]
    return {name: getattr(data, name) for name in names}


def _data(task: TaskSection | StreamSection) -> DataSection:
    return (task.eval if isinstance(task, TaskSection) else task.held_out) or task.data


def _sampling(task: TaskSection, config: TrainConfig) -> dict[str, Any]:
    """The sampling of a task, without what only training needs; texts at the temperature of the evaluation."""
    names = asdict(SamplingSection())
    kept = {name: value for name, value in asdict(task.rollout).items() if name in names}
    return kept if task.data.task == "image" else kept | {"temperature": config.eval.temperature}


def verb_of_file(word: str, among: Sequence[str]) -> str | None:
    """Return the verb that the first line of a yaml file says it is for, if it is one of these."""
    if "=" in word or not word.endswith((".yaml", ".yml")):
        return None
    try:
        text = find_config(word).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # which is said when it is loaded
    match = re.match(r"# unigrpo (\S+)", text)
    return match[1] if match and match[1] in among else None
