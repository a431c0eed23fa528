"""Points that Optuna chooses: its TPE, told the mean over the seeds of each point."""

from collections.abc import Mapping
from typing import Any

from unigrpo.config import AxisSection, SweepConfig
from unigrpo.errors import MissingExtraError
from unigrpo.sweeps.points import Choice, Point, numbered

STARTUP = 5
"""Points that are drawn at random before any is chosen."""


class Study:
    """Asks Optuna for points and tells it what came of them."""

    def __init__(self, config: SweepConfig):
        optuna = load_optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=config.search.seed,
            n_startup_trials=min(STARTUP, max(1, (config.search.trials or 1) // 2)),
            constant_liar=True,  # what runs meanwhile counts as poor, so that points differ
        )
        direction = "maximize" if config.mode == "max" else "minimize"
        self.study = optuna.create_study(direction=direction, sampler=sampler)
        self.axes = config.axes
        self.space = {name: _distribution(optuna, axis) for name, axis in config.axes.items()}
        self.asked: dict[str, Any] = {}

    def ask(self) -> Point:
        """The next point."""
        trial = self.study.ask(self.space)
        name = numbered(trial.number)
        self.asked[name] = trial
        return Point(name, {axis: self._choice(axis, value) for axis, value in trial.params.items()})

    def ask_again(self, choices: Mapping[str, Choice]) -> Point:
        """A point that was asked for in an earlier call, and gets its name again when they come in their order."""
        self.study.enqueue_trial({axis: self._param(axis, choice) for axis, choice in choices.items()})
        return self.ask()

    def tell(self, name: str, value: float | None) -> None:
        """What came of a point, the first time that it is told; None where it failed with every seed."""
        trial = self.asked.pop(name, None)
        if trial is not None and value is None:
            self.study.tell(trial, state=load_optuna().trial.TrialState.FAIL)
        elif trial is not None:
            self.study.tell(trial, value)

    def _param(self, axis: str, choice: Choice) -> Any:
        known = _known(self.axes[axis])
        return known.index(choice) if known else choice

    def _choice(self, axis: str, param: Any) -> Choice:
        known = _known(self.axes[axis])
        return known[param] if known else param


def _known(axis: AxisSection) -> list[Choice]:
    return [*axis.overlays, *axis.values]


def _distribution(optuna: Any, axis: AxisSection) -> Any:
    """The distribution of an axis; a choice by its place, as values may be lists, which Optuna does not take."""
    if known := _known(axis):
        return optuna.distributions.CategoricalDistribution(range(len(known)))
    kind = optuna.distributions.IntDistribution if axis.integer else optuna.distributions.FloatDistribution
    ends = (int(axis.low or 0), int(axis.high or 0)) if axis.integer else (axis.low, axis.high)
    return kind(*ends, log=axis.log)


def load_optuna() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            "search.method is optuna, which is not installed: pip install 'unigrpo[sweep]' or set search.method=random."
        ) from None
    return optuna
