"""What `unigrpo sweep` is configured by."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from unigrpo.config.pipeline import StageSection


@dataclass(kw_only=True)
class AxisSection:
    """One thing that is varied: a setting, or overlays that have names."""

    key: str | None = None
    """The setting, such as `algo.mu`."""
    values: list[Any] = field(default_factory=list)
    """Its values."""
    low: float | None = None
    """Instead of `values`: the lower end of a range."""
    high: float | None = None
    """The upper end of the range."""
    log: bool = False
    """Spread over the range by its logarithm."""
    integer: bool = False
    """Only whole numbers of the range."""
    points: int | None = None
    """`grid`: how many values of the range are tried, both ends among them."""
    overlays: dict[str, list[str]] = field(default_factory=dict)
    """Instead of `key`: lists of config files by name, each merged over those of the sweep; a list may be empty."""


@dataclass(kw_only=True)
class SearchSection:
    """Which points are tried."""

    method: Literal["grid", "random", "optuna"] = "grid"
    """`grid`: every combination of the axes; `random`: drawn from them; `optuna`: chosen by Optuna's TPE from the
    means over the seeds of those before."""
    trials: int | None = None
    """`random`, `optuna`: how many points, each with all seeds."""
    seed: int = 0
    """Seed of the search. With more `trials` the first points of a random search stay what they were."""


@dataclass(kw_only=True)
class ResourcesSection:
    """What one trial gets."""

    cpus: int = 1
    """Cores; a trial has as many threads."""
    gpus: float = 0.0
    """GPUs, such as 0.5; without any a trial sees none."""


@dataclass(kw_only=True)
class EarlyStopSection:
    """Asynchronous successive halving (ASHA): trials that fall behind others at the same step end there, saved."""

    grace: int = 10
    """Steps that every trial makes."""
    reduction: float = 3.0
    """One trial of so many goes on from each rung; rungs are at `grace` times its powers."""


@dataclass(kw_only=True)
class SweepClusterSection:
    """Where the trials run."""

    address: str | None = None
    """A running Ray cluster, as for `train`; by default one is started on this machine for this sweep alone. On several
    machines `output` and all that trials read must be in the same place on each."""


@dataclass(kw_only=True)
class SweepConfig:
    """`unigrpo sweep`: the same training with other settings and seeds, as trials of Ray Tune, and what came of it."""

    output: str = "runs/sweep"
    """Folder of the sweep: its trials, tables, pictures and a page about them."""
    plan: bool = False
    """Print the trials and run none."""
    overwrite: bool = False
    """Run trials again that are done with other settings than these, in place of what they made."""
    files: list[str] = field(default_factory=list)
    """Config files of `unigrpo train` that every trial starts from."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of every trial, nested as in its config files. `{NAME}` at the start of a path is the folder of a stage
    of `before`."""
    before: dict[str, StageSection] = field(default_factory=dict)
    """Stages, as of a pipeline, that run once for each seed, before its trials, with that seed."""
    axes: dict[str, AxisSection] = field(default_factory=dict)
    """What is varied, by name."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Seeds with which each point is run; means and intervals are over them."""
    search: SearchSection = field(default_factory=SearchSection)
    """Which points are tried."""
    metric: str = "eval/accuracy"
    """What decides which point is the best: a metric that the trials log."""
    mode: Literal["max", "min"] = "max"
    """Whether more of it is better."""
    more_metrics: list[str] = field(default_factory=lambda: ["reward/mean"])
    """Further metrics for tables and pictures."""
    resources: ResourcesSection = field(default_factory=ResourcesSection)
    """What one trial gets."""
    max_concurrent: int | None = None
    """Most trials at a time; by default as many as there are resources for."""
    early_stop: EarlyStopSection | None = None
    """End trials that fall behind; none, all run to their end."""
    backend: Literal["local", "ray"] = "local"
    """How a trial runs: in one process, or in a Ray of its own on the machine it is given, laid out as `cluster` of its
    files and settings says."""
    cluster: SweepClusterSection = field(default_factory=SweepClusterSection)
    """Where the trials run."""


def dotted(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting of a nested mapping by its dotted key."""
    if isinstance(values, dict) and values:
        for name, item in values.items():
            yield from dotted(item, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, values
