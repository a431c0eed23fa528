"""The folder of a run: one run each, never overwritten by accident, marked by the config it was started with."""

import dataclasses
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

from unigrpo.config.load import diff, load_config, save_config
from unigrpo.errors import ConfigError

CONFIG = "config.yaml"
MARK = "# unigrpo "
FREE_ON_RESUME = (
    "output",
    "resume",
    "overwrite",
    "cluster.",
    "tracking.",
    "checkpoint.",
    "eval.",
    "held_out",
    "device",
    "model.device",
    "model.gradient_checkpointing",
    "sft.workers",
    "rollout.batch_size",
    "algo.likelihood.micro_batch",
    "algo.likelihood.chunk",
    "sft.micro_batch",
)
"""Beginnings of the keys that may change when a run goes on, because the weights it ends with do not depend on them."""


def check_run(output: str | Path, config: Any, resume: bool = False, overwrite: bool = False) -> None:
    """Makes sure that `open_run` would do, and changes nothing. Call it first, before data and model are loaded.

    Raises:
        ConfigError: the folder is in use, cannot be written, or holds a run with other settings.
    """
    folder = Path(output)
    held = _holds_run(folder)
    if held and resume:
        _same_run(folder, config)
    elif held and overwrite:
        _is_not_around_us(folder)
    elif held:
        goes_on = "resume=true to go on, " if hasattr(config, "resume") else ""
        raise ConfigError(
            f"{output} already holds a run: add {goes_on}overwrite=true to replace it, or another output="
        )
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{output} is not empty and holds no run of ours: name another output=")
    around = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not around.is_dir():
        raise _unwritable(output, errno.EEXIST if around == folder else errno.ENOTDIR)
    if not os.access(around, os.W_OK | os.X_OK):
        raise _unwritable(output, errno.EACCES)


def open_run(output: str | Path, config: Any, resume: bool = False, overwrite: bool = False) -> Path:
    """Makes the folder of a run, or opens it again, and writes the config into it. Call it after all checks.

    Raises:
        ConfigError: as `check_run` does.
    """
    check_run(output, config, resume, overwrite)
    folder = Path(output)
    try:
        if overwrite and folder.is_dir():
            _empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_config(_as_started(config), folder / CONFIG)
    except OSError as error:
        raise _unwritable(output, error.errno) from None
    return folder


def _unwritable(output: str | Path, number: int | None) -> ConfigError:
    return ConfigError(f"output={output} cannot be written: {os.strerror(number or 0)}. Name another output=")


def _holds_run(folder: Path) -> bool:
    path = folder / CONFIG
    try:
        return path.is_file() and path.read_text(encoding="utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False


def _as_started(config: Any) -> Any:
    """The config without how this start was asked for, so that the file can be run again."""
    names = {"resume", "overwrite"} & {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **dict.fromkeys(names, False))


def _same_run(folder: Path, config: Any) -> None:
    saved = load_config(type(config), [str(folder / CONFIG)])
    free = FREE_ON_RESUME + (("steps",) if config.optim.schedule == "constant" else ())
    changed = {key: pair for key, pair in diff(saved, config).items() if not _own_key(key).startswith(free)}
    if changed:
        words = ", ".join(f"{key} was {old} and is {new}" for key, (old, new) in changed.items())
        raise ConfigError(f"{folder} cannot go on with other settings: {words}. Put them back, or name another output=")


def _own_key(key: str) -> str:
    """The key without the task or stream it belongs to: what is free for one is free for each."""
    return re.sub(r"^(tasks|streams)\.[^.]+\.", "", key) + "."


def _is_not_around_us(folder: Path) -> None:
    if folder.resolve() in Path.cwd().parents:
        raise ConfigError(f"{folder} cannot be replaced from inside it: change to another folder.")


def _empty(folder: Path) -> None:
    """Deletes what a run left, following no links; the config goes last, so that a crash leaves the mark."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name == CONFIG)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
