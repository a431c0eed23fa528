"""Rewards that run in processes of their own: because they have a time limit, or need another environment."""

import inspect
from collections.abc import Callable
from typing import Any

from rewards.arguments import Parameters
from rewards.classes import Built, no_such_argument, of_settings
from rewards.function import RewardFunction
from rewards.isolation.outcome import Limits
from rewards.isolation.pool import Pool
from rewards.source import absolute_spec
from unigrpo.config import RewardEntry
from unigrpo.config.secrets import filled, meant
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import TASKS

PATIENCE_SECONDS = 60.0
"""Time limit of a reward of another environment that has none of its own."""


def pool_of(name: str, entry: RewardEntry, function: Callable[..., Any], seconds: float, built: Built) -> Pool:
    """Return the processes that run a function or a class of this environment; equal ones are shared."""
    target = absolute_spec(entry.path) or f"{function.__module__}:{function.__qualname__}"
    if target.startswith("__main__:"):
        raise RewardError(f"rewards.{name} has a time limit, so it must be in a file or a package: set its path.")
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
    pool = _shared(str(absolute_spec(entry.path)), dict(entry.args), entry, seconds, built, name)
    parameters = Parameters.read(pool.parameters())
    check_portable(name, parameters)
    settings = {} if pool.makes_object() else dict(entry.args)
    for key in settings:
        if not parameters.everything and meant(key, parameters.names) not in parameters.names:
            raise ConfigError(no_such_argument(name, key, parameters.names))
    return RewardFunction(name, pool.call, TASKS, settings, parameters, False, seconds, entry.on_error or "nan", pool)


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
