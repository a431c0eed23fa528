"""Rules of what a sweep varies, and of what it leaves to its trials."""

from unigrpo.config.sweep import AxisSection, SweepConfig, dotted

MANAGED = ("output", "seed", "resume", "overwrite", "cluster.backend", "cluster.threads", "cluster.address")
"""Settings of a trial that the sweep makes itself."""
OWN = {"seed": "seeds", "cluster.backend": "backend", "cluster.threads": "resources.cpus", "output": "its own output"}
"""What stands for a managed setting in a sweep."""

COLUMNS = ("n", "failed", "seed", "state", "steps", "seconds", "folder", "why")
"""Columns of the tables beside those of the axes."""


def _instead(key: str) -> str:
    return f"use {OWN[key]}" if key in OWN else "drop it"


def axes_are_given(it: SweepConfig) -> str | None:
    """Something is varied: settings or seeds."""
    if not it.axes and len(it.seeds) < 2:
        return "axes is empty and seeds has one: there is nothing to compare; name axes, or several seeds."
    return next(filter(None, (_axis(f"axes.{name}", name, axis, it) for name, axis in it.axes.items())), None)


def _axis(where: str, name: str, axis: AxisSection, it: SweepConfig) -> str | None:
    ways = {"values": bool(axis.values), "low and high": (axis.low, axis.high) != (None, None)}
    ways["overlays"] = bool(axis.overlays)
    given = [way for way, there in ways.items() if there]
    if not name.isidentifier():
        return f"axes holds the name {name!r}: use letters, digits and _ only, for it names folders."
    if name in COLUMNS:
        return f"axes holds the name {name}, which is a column of the tables already: give the axis another."
    if len(given) != 1:
        return f"{where} has {' and '.join(given) or 'no values'}: give it one of values, low and high, or overlays."
    if given == ["overlays"]:
        return f"{where} has key and overlays: drop key." if axis.key else None
    if not axis.key:
        return f"{where} has no key: name the setting that it varies, such as key: algo.mu."
    managed = next((key for key in MANAGED if f"{key}.".startswith(f"{axis.key}.")), None)
    if managed:
        return f"{where}.key is {axis.key}, but the sweep sets {managed}: {_instead(managed)}."
    return _range(where, axis, it) if given == ["low and high"] else _choices(where, axis)


def _choices(where: str, axis: AxisSection) -> str | None:
    if len({repr(value) for value in axis.values}) < len(axis.values):
        return f"{where}.values holds a value twice: drop one."
    for name in ("log", "integer", "points"):
        if getattr(axis, name):
            return f"{where}.{name} is {getattr(axis, name)}, but it is only used with low and high: drop it."
    return None


def _range(where: str, axis: AxisSection, it: SweepConfig) -> str | None:
    if axis.low is None or axis.high is None or not axis.low < axis.high:
        return f"{where} goes from {axis.low} to {axis.high}: set low below high."
    if axis.log and axis.low <= 0:
        return f"{where}.low is {axis.low}, which has no logarithm: set it above 0, or log=false."
    if axis.integer and (axis.low % 1 or axis.high % 1):
        return f"{where} goes from {axis.low} to {axis.high}, but integer is true: set whole ends."
    if it.search.method == "grid" and (axis.points or 0) < 2:
        return f"{where} is a range, but search.method is grid: set {where}.points to 2 or more, or values."
    if it.search.method != "grid" and axis.points:
        return f"{where}.points is {axis.points}, but it is only used with search.method=grid: drop it."
    return None


def search_fits(it: SweepConfig) -> str | None:
    """The number of points is given where it is needed, and nowhere else."""
    if it.search.method == "grid":
        wrong = "trials is set, but a grid has" if it.search.trials else ""
        return f"search.{wrong} as many points as its axes make: drop it, or set search.method." if wrong else None
    if not it.search.trials:
        return f"search.method is {it.search.method}, but search.trials is not set: say how many points to try."
    if not it.axes:
        return f"search.method is {it.search.method}, but there are no axes to search: name some."
    if it.search.method == "optuna" and it.early_stop and len(it.seeds) > 1:
        return (
            "early_stop ends single trials, but search.method=optuna learns from means over seeds, which would then be "
            "of different lengths: use one seed, or drop early_stop."
        )
    return None


def seeds_are_seeds(it: SweepConfig) -> str | None:
    """Each seed is there once, and none is negative."""
    if not it.seeds or min(it.seeds) < 0 or len(set(it.seeds)) < len(it.seeds):
        return f"seeds is {it.seeds}: name one or more, each once, none below 0."
    return None


def trials_are_the_sweeps(it: SweepConfig) -> str | None:
    """What the sweep sets for a trial is not set otherwise."""
    own = [key for key, _ in dotted(it.settings)]
    for key in MANAGED:
        if any(f"{one}.".startswith(f"{key}.") for one in own):
            return f"settings holds {key}, which the sweep sets: {_instead(key)}."
    if it.metric in it.more_metrics:
        return f"more_metrics holds {it.metric}, which is the metric already: drop it."
    return None


def stages_have_names(it: SweepConfig) -> str | None:
    """Stages before the trials are as those of a pipeline."""
    for name, stage in it.before.items():
        if not name.isidentifier():
            return f"before holds the name {name!r}: use letters, digits and _ only, for it names a folder."
        if found := next((key for key in ("output", "resume", "overwrite") if key in stage.settings), None):
            return f"before.{name}.settings holds {found}, which the sweep sets: drop it."
    return None


SWEEP_RULES = [axes_are_given, search_fits, seeds_are_seeds, trials_are_the_sweeps, stages_have_names]
