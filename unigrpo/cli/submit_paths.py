"""Paths of a config, as a job sees them: what travels is named from its own folder, all else by its place."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar

from rewards.registry import SHIPPED, resolve
from rewards.source import user_function
from unigrpo.cli import pipeline
from unigrpo.cli.submit_files import Upload
from unigrpo.cli.verbs import VERBS
from unigrpo.config import EvalConfig, PipelineConfig, RewardEntry, TrainConfig, tasks_of
from unigrpo.config.files import find_config, shipped_configs
from unigrpo.errors import ConfigError

T = TypeVar("T")
Place = Callable[[str, str], str]
"""From the dotted key and the value of a path to its value in the job.

A second use only looks: it raises where a path would not do, and returns it unchanged.
"""
PATH_KEYS = ("path", "image_root", "codes")


def placed(section: T, place: Place, prefix: str = "") -> T:
    """A section with all its paths replaced, those in the settings of rewards included."""
    if isinstance(section, dict):
        return {key: placed(item, place, f"{prefix}{key}.") for key, item in section.items()}  # type: ignore[return-value]
    if not is_dataclass(section) or isinstance(section, type):
        return section
    found: dict[str, Any] = {}
    for name in (field.name for field in fields(section)):
        value, key = getattr(section, name), f"{prefix}{name}"
        if name not in PATH_KEYS or value is None:
            found[name] = placed(value, place, f"{key}.")
        else:
            found[name] = _spec(key, value, place) if isinstance(section, RewardEntry) else place(key, value)
    if isinstance(section, RewardEntry):
        found["args"] = _arguments(f"{prefix}args", section.args, place)
    return replace(section, **found)


def _spec(key: str, spec: str, place: Place) -> str:
    where, _, attribute = spec.rpartition(":")
    return f"{place(key, where)}:{attribute}" if where.endswith(".py") else spec


def _arguments(key: str, value: Any, place: Place) -> Any:
    """A reward's own settings, in which text that names something here is taken for its path."""
    if isinstance(value, dict):
        return {name: _arguments(f"{key}.{name}", item, place) for name, item in value.items()}
    if isinstance(value, list):
        return [_arguments(key, item, place) for item in value]
    return place(key, value) if isinstance(value, str) and value and os.path.exists(value) else value


class Places:
    """Where a job finds what a config names, and what the user should know of that."""

    def __init__(self, upload: Upload):
        self.upload = upload
        self.notes: dict[str, str] = {}
        """What the cluster must have itself, by its absolute path."""

    def __call__(self, key: str, path: str) -> str:
        """The value of a path in the job.

        Raises:
            ConfigError: a relative path leads to nothing.
        """
        if "://" in path:
            return path
        absolute = Path(os.path.abspath(path))
        if set(path) & set("*?[{"):  # several files, which the cluster finds
            self.notes.setdefault(str(absolute), f"{key} is not uploaded: the cluster must have {absolute}")
            return str(absolute)
        if name := self.upload.ships(absolute):
            return name
        if not absolute.exists() and not Path(path).is_absolute():
            raise ConfigError(
                f"{key} is {path!r}, and there is no {absolute}: correct it, or write the absolute path that it has on "
                "the cluster."
            )
        self.notes.setdefault(str(absolute), f"{key} is not uploaded: the cluster must have it at {absolute}")
        return str(absolute)

    def output(self, config: T) -> T:
        """The config with an absolute output; Ray deletes the folder that a job runs in."""
        absolute = os.path.abspath(config.output)  # type: ignore[attr-defined]
        return replace(config, output=absolute)  # type: ignore[type-var]

    def unchanged(self, stage: str, output: str) -> Place:
        """A check that a path of a stage means the same in the job, for stages travel as they are written."""

        def look(key: str, path: str) -> str:
            if Path(path).is_relative_to(output):
                return path  # another stage makes it
            if (found := self(f"{stage}.{key}", path)) != os.path.normpath(path):
                raise ConfigError(
                    f"{stage}.{key} is {path!r}, which the job would not find: write {found!r}, or submit from the "
                    "folder that --working-dir names."
                )
            return path

        return look


def for_job(config: Any, places: Places) -> Any:
    """The config as the job needs it, after checks that need neither the cluster nor a model.

    Raises:
        ConfigError: a path leads nowhere, or a setting is not for jobs.
        RewardError: a reward cannot be found or loaded.
    """
    config = places.output(config)
    if isinstance(config, PipelineConfig):
        for name in config.stages:
            _check_stage(config, name, places)
        return config
    _check(config, places.upload.root)
    return placed(config, places)


def _check(config: Any, root: Path) -> None:
    if getattr(getattr(config, "cluster", None), "address", None):
        raise ConfigError(
            f"cluster.address is {config.cluster.address!r}, but a job uses the cluster it is submitted to: drop it."
        )
    if isinstance(config, TrainConfig | EvalConfig):
        for task in tasks_of(config).values():
            _check_rewards(task.rewards, root)


def _check_rewards(rewards: dict[str, RewardEntry], root: Path) -> None:
    """Finds every reward, and whether it takes its settings; builds none, which may need the cluster's memory."""
    with _importable(root):
        for name, entry in rewards.items():
            if entry.python is not None:
                continue  # an environment of the cluster's
            if entry.path is None:
                if name not in SHIPPED:
                    resolve(name, entry)
                continue
            file = Path(entry.path.rpartition(":")[0])
            only_there = file.suffix == ".py" and file.is_absolute() and not file.exists()
            if not only_there and not isclass(user_function(f"rewards.{name}.path", entry.path)):
                resolve(name, entry)


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Modules of the working folder can be imported, as in a job."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _check_stage(config: PipelineConfig, name: str, places: Places) -> None:
    """A stage is checked as its verb would be; its files must travel, or come with unigrpo."""
    arguments = pipeline._arguments(config, name)
    pipeline._check(config, name, arguments)
    look = places.unchanged(f"stages.{name}", config.output)
    for file in config.stages[name].files:
        if not find_config(file).is_relative_to(shipped_configs()):
            look("files", file)
    found = VERBS[config.stages[name].verb].checked(arguments)
    _check(found, places.upload.root)
    placed(found, look)
