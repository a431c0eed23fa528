"""`unigrpo eval RUN` and `unigrpo generate RUN`: a folder as the first argument stands for the settings it implies."""

import json
from dataclasses import asdict
from pathlib import Path

from unigrpo.config import SamplingSection, SFTConfig, TrainConfig
from unigrpo.config.load import load_config
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
        names = asdict(SamplingSection())
        sampling = {f"rollout.{name}": value for name, value in asdict(config.rollout).items() if name in names}
        data, rewards = config.eval.data or config.data, {name: asdict(it) for name, it in config.rewards.items()}
        found = sampling | {"rollout.temperature": config.eval.temperature}
    elif _command(run) == "sft":
        config = load_config(SFTConfig, file)
        data, rewards, found = config.held_out or config.data, {}, {}
    else:
        return {}
    if verb == "generate":
        return found | {"template": data.template, "instruction": data.instruction}
    return found | {"data": asdict(data)} | ({"rewards": rewards} if rewards else {})
