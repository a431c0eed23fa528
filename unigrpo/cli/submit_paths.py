"""Paths of a config, as a job sees them: what travels is named from its own folder, all else by its place."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import isclass
from pathlib import Path
from typing import Any, TypeVar

from rewards.registry import SHIPPED, resolve
from rewards.source import user_function
from unigrpo.cli.pipeline_inputs import used
from unigrpo.cli.pipeline_stages import Stage, stages_of
from unigrpo.cli.submit_files import Upload
from unigrpo.cli.sweep_trials import before_of, check_axes, examples_of
from unigrpo.config import EvalConfig, PipelineConfig, RewardEntry, SweepConfig, TrainConfig, tasks_of
from unigrpo.config.files import find_config, shipped_configs
from unigrpo.config.paths import Place, placed
from unigrpo.errors import ConfigError

T = TypeVar("T")


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
            if _is_shipped(path):
                return path
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


def _is_shipped(path: str) -> bool:
    """Whether a name is that of a file which comes with unigrpo, and so is where the job runs."""
    try:
        return find_config(path).is_relative_to(shipped_configs())
    except ConfigError:
        return False


def for_job(config: Any, places: Places) -> Any:
    """The config as the job needs it, after checks that need neither the cluster nor a model.

    Raises:
        ConfigError: a path leads nowhere, or a setting is not for jobs.
        RewardError: a reward cannot be found or loaded.
    """
    config = places.output(config)
    if isinstance(config, PipelineConfig):
        for stage in stages_of(config).values():
            if not stage.skip:
                _check_stage(config, stage, places)
        return config
    _check(config, places.upload.root)
    if isinstance(config, SweepConfig):
        _check_sweep(config, places)
        return config
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


def _check_stage(config: PipelineConfig, stage: Stage, places: Places) -> None:
    """A stage is checked as its verb would be; its files must travel, or come with unigrpo."""
    look = places.unchanged(f"stages.{stage.name}", config.output)
    _check_files(config.stages[stage.name].files, look)
    _check(stage.config, places.upload.root)
    placed(used(stage.config), look)


def _check_files(files: Iterable[str], look: Place) -> None:
    for file in files:
        if not _is_shipped(file):
            look("files", file)


def _check_sweep(config: SweepConfig, places: Places) -> None:
    """Trials, and the stages before them, are made in the job from the same files."""
    check_axes(config)
    before = before_of(config, config.seeds[0])
    for stage in stages_of(before).values():
        if not stage.skip:
            _check_stage(before, stage, places)
    overlays = [file for axis in config.axes.values() for files in axis.overlays.values() for file in files]
    _check_files([*config.files, *overlays], places.unchanged("sweep", config.output))
    for trial in examples_of(config):
        for task in tasks_of(trial.stage.config).values():
            _check_rewards(task.rewards, places.upload.root)
        placed(trial.stage.config, places.unchanged(trial.point.name, config.output))
