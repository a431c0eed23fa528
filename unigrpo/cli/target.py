"""`unigrpo eval RUN` and `unigrpo generate RUN`: a folder as the first argument stands for the settings it implies."""

import json
from dataclasses import asdict
from pathlib import Path

from unigrpo.config import DataSection, SamplingSection, SFTConfig, TrainConfig, tasks_of
from unigrpo.config.load import load_config
from unigrpo.config.tasks import ALONE
from unigrpo.errors import ConfigError
from unigrpo.runs import CONFIG, MARK


def expand(args: list[str], verb: str) -> list[str]:
    """Replaces a leading folder by settings; those given on the command line come later and win.

    A model folder sets `model.path`. A run's folder, or a checkpoint in it, also brings the prompts, the sampling and
    the rewards it was trained with, unless a yaml file is given.

    Raises:
        ConfigError: the first argument is meant as a folder, and there is none.
    """
    if not args or "=" in args[0] or args[0].startswith("-") or args[0].endswith((".yaml", ".yml")):
        return args
    if not Path(args[0]).is_dir():
        raise ConfigError(f"{args[0]} is no folder of a run or a model: name one, or set model.path=FOLDER.")
    folder, rest = Path(args[0]), args[1:]
    run = next((place for place in (folder, folder.parent) if _command(place)), None)
    model = folder / "model" if run == folder else folder
    files = [arg for arg in rest if arg.endswith((".yaml", ".yml")) and "=" not in arg]
    implied = _implied(run, verb) if run and not files else {}
    settings = [f"{key}={json.dumps(value)}" for key, value in ({"model.path": str(model)} | implied).items()]
    return files + settings + [arg for arg in rest if arg not in files]


def _command(folder: Path) -> str | None:
    """The verb a run was started with, from the first line of its config."""
    try:
        first = (folder / CONFIG).read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError):
        return None
    return first.removeprefix(MARK).split()[0] if first.startswith(MARK) else None


def _implied(run: Path, verb: str) -> dict:
    file = [str(run / CONFIG)]
    if _command(run) == "train":
        config = load_config(TrainConfig, file)
        found = {"model.image_tokenizer": asdict(config.model.image_tokenizer)}
        found |= {"model.legacy_visible_pads": config.model.legacy_visible_pads}
        return found | (_one(config) if verb == "generate" else _all(config))
    if _command(run) == "sft":
        config = load_config(SFTConfig, file)
        images = {"model.image_tokenizer": asdict(config.model.image_tokenizer)}
        if config.streams:
            return images
        data = config.held_out or config.data
        return images | (_asks(data) if verb == "generate" else {"data": asdict(data)})
    return {}


def _all(config: TrainConfig) -> dict:
    """What an evaluation takes from a run: held-out prompts, sampling and rewards of all its tasks."""
    tasks = {
        name: asdict(task)
        | {"data": asdict(task.eval or task.data), "eval": None, "rollout": _sampling(task.rollout, config)}
        for name, task in tasks_of(config).items()
    }
    if config.tasks:
        return {"tasks": tasks}
    alone = tasks[ALONE]
    return {"data": alone["data"], "rollout": alone["rollout"], "rewards": alone["rewards"]}


def _one(config: TrainConfig) -> dict:
    """What `generate` takes from a run: how the first of its tasks asks and samples."""
    task = next(iter(tasks_of(config).values()))
    return _asks(task.eval or task.data) | {"rollout": _sampling(task.rollout, config)}


def _asks(data: DataSection) -> dict:
    return {"task": data.task, "template": data.template, "instruction": data.instruction}


def _sampling(rollout: SamplingSection, config: TrainConfig) -> dict:
    """The sampling of a task, without what only training needs, at the temperature of the evaluation."""
    names = asdict(SamplingSection())
    kept = {name: value for name, value in asdict(rollout).items() if name in names}
    return kept | {"temperature": config.eval.temperature}
