"""Rewards that run in processes of their own: because they have a time limit, or need another environment."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rewards.arguments import Parameters
from rewards.classes import Built, no_such_argument, of_settings
from rewards.function import RewardFunction
from rewards.isolation.outcome import Limits
from rewards.isolation.pool import Pool
from rewards.source import PRIVATE, absolute_spec
from unigrpo.config import RewardEntry
from unigrpo.config.secrets import filled
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import TASKS

PATIENCE_SECONDS = 60.0
"""Time limit of a reward of another environment that has none of its own."""


def pool_of(name: str, entry: RewardEntry, function: Callable[..., Any], seconds: float, built: Built) -> Pool:
    """Return the processes that run a function or a class of this environment; equal ones are shared."""
    named = getattr(function, "__qualname__", "<locals>")
    target = absolute_spec(entry.path) or f"{function.__module__}:{named}"
    if target.startswith(("__main__:", PRIVATE)) or (entry.path is None and "<locals>" in named):
        raise RewardError(
            f"rewards.{name} has a time limit, so that another process must find it: make it a function or a class of "
            "a module, and set its path."
        )
    args = filled(name, entry.args, Parameters.of(function).names) if inspect.isclass(function) else None
    return _shared(target, args, entry, seconds, built, name)


def elsewhere(name: str, entry: RewardEntry, built: Built) -> RewardFunction:
    """Return a reward that runs under `python`, an interpreter of another environment, where its settings are checked.

    Raises:
        ConfigError: there is no path, or it takes other settings.
        RewardError: it cannot be loaded there.
    """
    if entry.path is None:
        raise ConfigError(f"rewards.{name}.python is set, but not rewards.{name}.path: say what it runs.")
    seconds = PATIENCE_SECONDS if entry.timeout is None else entry.timeout
    args = filled(name, entry.args, ())
    pool = _shared(str(absolute_spec(entry.path)), args, entry, seconds, built, name)
    parameters = Parameters.read(pool.parameters())
    check_portable(name, parameters)
    for key in () if pool.makes_object() else args:
        if not parameters.everything and key not in parameters.names:
            raise ConfigError(no_such_argument(name, key, parameters.names))
    # Its settings are with it already, so that they need not be found in the data.
    needed = replace(parameters, required=tuple(key for key in parameters.required if key not in args))
    return RewardFunction(name, pool.call, TASKS, {}, needed, False, seconds, entry.on_error or "nan", pool)


def check_portable(name: str, parameters: Parameters) -> None:
    """Raise `RewardError` when a reward asks for what cannot be handed to another process."""
    wanted = next((key for key in parameters.names if key in ("rollout", "rollouts")), None)
    if wanted:
        raise RewardError(
            f"rewards.{name} takes `{wanted}`, but runs in a process of its own, which takes plain values and arrays: "
            "name what it needs of it, such as `response`, `tokens` or a column."
        )


def _shared(target: str, args: dict[str, Any] | None, entry: RewardEntry, seconds: float, built: Built, name: str):
    key = target, of_settings(args or {}), entry.python, seconds, entry.memory_gb
    if key not in built:
        limits = Limits(seconds=seconds, memory_gb=entry.memory_gb)
        built[key] = Pool(target, args, limits=limits, python=entry.python, name=f"rewards.{name}")
    return built[key]
