"""The trials of a sweep as configs that have been checked, and the stages that come before them."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from unigrpo.cli.pipeline_stages import Stage, stage_of
from unigrpo.cli.verbs import STAGES, find_verb
from unigrpo.config import AxisSection, PipelineConfig, StageSection, SweepConfig
from unigrpo.config.source import read_yaml
from unigrpo.config.sweep import dotted
from unigrpo.errors import ConfigError
from unigrpo.sweeps.points import Point, at, points_of, value_of


@dataclass(frozen=True)
class Trial:
    """A point with a seed."""

    point: Point
    seed: int
    stage: Stage
    """The run, checked."""

    @property
    def name(self) -> str:
        """Tells it from the other trials."""
        return name_of(self.point, self.seed)

    @property
    def file(self) -> Path:
        """Its settings."""
        return self.stage.folder.with_name(f"{self.stage.folder.name}.yaml")

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.stage.folder.with_name(f"{self.stage.folder.name}.log")


def name_of(point: Point, seed: int) -> str:
    """The name of a trial, and its folder in that of all trials."""
    return f"{point.name}/seed-{seed}"


def check_axes(config: SweepConfig) -> None:
    """Makes sure that no setting is set twice.

    Raises:
        ConfigError: two axes, or an axis and `settings`, set the same one.
    """
    taken = {key: "settings" for key, _ in dotted(config.settings)}
    for name, axis in config.axes.items():
        keys = set(_keys(axis))
        for key in keys:
            other = next((it for it in taken if f"{it}.".startswith(f"{key}.") or f"{key}.".startswith(f"{it}.")), None)
            if other is not None:
                raise ConfigError(f"axes.{name} sets {key}, and {taken[other]} sets {other}: one would be ignored.")
        taken |= dict.fromkeys(keys, f"axes.{name}")


def _keys(axis: AxisSection) -> Iterator[str]:
    if not axis.overlays:
        yield str(axis.key)
    for file in {file for files in axis.overlays.values() for file in files}:
        yield from (key for key, _ in dotted(read_yaml(file).values))


def before_of(config: SweepConfig, seed: int) -> PipelineConfig:
    """The stages that come before the trials of a seed, as a pipeline."""
    stages = {name: _seeded(config, name, stage, seed) for name, stage in config.before.items()}
    return PipelineConfig(output=str(Path(config.output) / "before" / f"seed-{seed}"), stages=stages)


def _seeded(config: SweepConfig, name: str, stage: StageSection, seed: int) -> StageSection:
    """A stage with the seed and the threads of a trial, where its verb has these settings and they are not given."""
    try:
        has = {field.name for field in fields(find_verb(stage.verb, list(STAGES)).config_type())}
    except ConfigError as error:
        raise ConfigError(f"before.{name}: {error}") from None
    own = {"seed": seed} if "seed" in has else {}
    own |= {"cluster": {"threads": config.resources.cpus}} if "cluster" in has else {}
    return replace(stage, settings=merged(own, stage.settings))


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others over them."""
    found = deepcopy(dict(one))
    for key, value in other.items():
        inside = found.get(key)
        found[key] = merged(inside, value) if isinstance(inside, dict) and isinstance(value, Mapping) else value
    return found


def trial_of(config: SweepConfig, point: Point, seed: int) -> Trial:
    """The trial of a point and a seed.

    Raises:
        ConfigError: its settings cannot be used.
    """
    files, settings = list(config.files), dict(config.settings)
    for axis, choice in point.choices.items():
        own, more = value_of(config.axes[axis], choice)
        files, settings = files + more, merged(settings, own)
    ray = {"address": "local"} if config.backend == "ray" else {}
    cluster = {"backend": config.backend, "threads": config.resources.cpus, **ray}
    settings = merged(settings, {"seed": seed, "cluster": cluster})
    name, before = name_of(point, seed), before_of(config, seed)
    stages = {**before.stages, name: StageSection(verb="train", files=files, settings=settings)}
    try:
        stage = stage_of(replace(before, stages=stages), name)
    except ConfigError as error:
        raise ConfigError(f"Trial {str(error).removeprefix('stages.')}") from None
    output = Path(config.output) / "trials" / name
    return Trial(point, seed, replace(stage, config=replace(stage.config, output=str(output))))


def check_metric(config: SweepConfig, trial: Trial) -> None:
    """Makes sure that trials will log what they are compared by, as far as that can be known.

    Raises:
        ConfigError: they have no evaluation.
    """
    train = trial.stage.config
    tasks = train.tasks.values()
    evaluates = train.eval.data is not None or any(task.eval is not None for task in tasks)
    if config.metric.startswith("eval/") and not evaluates:
        raise ConfigError(f"metric is {config.metric}, but trials have no evaluation: set eval.data or another metric.")


def all_of(config: SweepConfig, points: Sequence[Point]) -> list[Trial]:
    """The trials of points, seed by seed, so that a sweep that is cut has compared all of them."""
    return [trial_of(config, point, seed) for seed in config.seeds for point in points]


def examples_of(config: SweepConfig) -> list[Trial]:
    """A trial of each point, or of one where Optuna is still to choose them: all settings are checked by these."""
    points = points_of(config) if config.search.method != "optuna" else [_some(config)]
    return [trial_of(config, point, config.seeds[0]) for point in points]


def _some(config: SweepConfig) -> Point:
    """Some point of the axes."""
    first = {name: [*axis.overlays, *axis.values, at(axis, 0)][0] for name, axis in config.axes.items()}
    return Point("point", first)
