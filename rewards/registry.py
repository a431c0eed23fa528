"""Rewards by name: which there are, and what an entry of the config means."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from rewards.arguments import Parameters, trial
from rewards.classes import Built, build, no_such_argument, unbuilt
from rewards.function import OnError, RewardFunction, is_async
from rewards.isolated import check_portable, elsewhere, pool_of
from rewards.source import location, user_function
from unigrpo.config import RewardEntry
from unigrpo.config.secrets import meant
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import TASKS, Prompt, Task

SHIPPED = {
    "aesthetic": "rewards.vision.aesthetic",
    "choice": "rewards.choice",
    "clip": "rewards.vision.clip",
    "code": "rewards.code",
    "contains": "rewards.pattern",
    "countdown": "rewards.countdown",
    "detector": "rewards.detector",
    "exact_match": "rewards.text",
    "format": "rewards.format",
    "group_length": "rewards.shaping",
    "hps": "rewards.vision.hps",
    "image_reward": "rewards.vision.image_reward",
    "judge": "rewards.judge.judge",
    "length": "rewards.shaping",
    "math": "rewards.math",
    "overlong": "rewards.shaping",
    "pick_score": "rewards.vision.pick_score",
    "regex": "rewards.pattern",
    "repetition": "rewards.shaping",
    "shapes": "rewards.shapes",
    "sudoku": "rewards.sudoku",
    "tags": "rewards.pattern",
    "thought_match": "rewards.text",
    "vqa": "rewards.vqa",
    "yes_no": "rewards.yes_no",
}
"""Where the rewards that come with unigrpo are defined; a module is imported when its reward is asked for."""
GROUP = "unigrpo.rewards"
"""Entry points of installed packages: `NAME = "package.module:function"`."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Declared:
    function: Callable[..., Any]
    tasks: tuple[Task, ...] = TASKS
    check: Callable[[dict[str, Any]], None] | None = None
    timeout: float | None = None
    on_error: OnError = "nan"
    group: bool = False


_declared: dict[str, _Declared] = {}


def reward(
    name: str,
    tasks: Sequence[Task] = TASKS,
    check: Callable[[dict[str, Any]], None] | None = None,
    timeout: float | None = None,
    on_error: OnError = "nan",
    group: bool = False,
) -> Callable[[F], F]:
    """Register a function, or a class, as the reward of this name, and return it unchanged.

    A function takes what it needs by name: `response`, `prompt`, `answer`, `image`, `tokens`, `rollout`, columns of the
    data and settings of its entry. With `responses`, `prompts`, `answers`, `images` or `rollouts` it is called once for
    many rollouts and returns a list. A class is built once, from its entry's settings, and its objects are called.
    Either may be `async`: its calls then wait beside each other. A result is a number, None where the reward does not
    apply, or a `Score`.

    Args:
        tasks: tasks whose rollouts it can judge.
        check: called with the settings of the reward's entry before training; raises `ConfigError` on a bad one.
        timeout: seconds of one call. What is not `async` then runs in a process of its own, which is killed, so that it
            takes and returns plain values and arrays only.
        on_error: as `on_error` of an entry, which goes before.
        group: with plural names, one call for the rollouts of each prompt instead of one for all.
    """

    def register(function: F) -> F:
        if SHIPPED.get(name, function.__module__) != function.__module__:
            raise RewardError(f"reward `{name}` is already defined at {SHIPPED[name]}: choose another name.")
        other = _declared.get(name)
        if other is not None and location(other.function) != location(function):
            raise RewardError(f"reward `{name}` is already defined at {location(other.function)}: choose another name.")
        unknown = [task for task in tasks if task not in TASKS]
        if unknown:
            raise RewardError(f"reward `{name}` names task {unknown[0]!r}: the tasks are {', '.join(TASKS)}.")
        _declared[name] = _Declared(function, tuple(tasks), check, timeout, on_error, group)
        return function

    return register


def resolve(name: str, entry: RewardEntry, built: Built | None = None) -> RewardFunction:
    """Find the reward that an entry of `rewards` means: its own `path`, or the registered reward of this name.

    Args:
        built: the objects of classes that were built before; one of the same class and settings is used again.

    Raises:
        RewardError: there is no such reward, or it cannot be loaded.
        ConfigError: `args` holds something the reward does not take.
    """
    built = {} if built is None else built
    if entry.python is not None:
        return elsewhere(name, entry, built)
    declared = find(name, entry.path)
    function, settings = declared.function, dict(entry.args)
    timeout = declared.timeout if entry.timeout is None else entry.timeout
    pool = None
    own = getattr(function, "own_limit", None)
    if own is not None and (timeout is not None or entry.memory_gb != RewardEntry.memory_gb):
        raise ConfigError(
            f"rewards.{name} has limits of its own, for each answer: set rewards.{name}.args.{own} instead."
        )
    if timeout is not None and not is_async(function):
        pool = pool_of(name, entry, function, timeout, built)
    elif entry.memory_gb != RewardEntry.memory_gb:
        fix = "drop it" if is_async(function) else f"set rewards.{name}.timeout as well, or drop it"
        raise ConfigError(
            f"rewards.{name}.memory_gb is {entry.memory_gb:g}, but only a reward that runs in a process of its own has "
            f"such a limit: {fix}."
        )
    if inspect.isclass(function):
        function = build(name, function, settings, built) if pool is None else unbuilt(name, function, settings)
        settings = {}
    parameters = Parameters.of(function)
    _check_parameters(name, function, parameters, settings)
    if pool is not None:
        check_portable(name, parameters)
    if declared.group and not parameters.many:
        raise RewardError(f"rewards.{name}: {location(function)} judges groups: take `responses`, or another plural.")
    if declared.check is not None:
        declared.check(entry.args)
    return RewardFunction(
        name,
        function,
        declared.tasks,
        settings,
        parameters,
        declared.group,
        timeout,
        entry.on_error or declared.on_error,
        pool,
    )


def find(name: str, path: str | None = None) -> _Declared:
    """Return what is known of a reward: the function at `path`, or the one that is registered under the name.

    Raises:
        RewardError: there is none, or it cannot be loaded.
    """
    if path is None:
        return _registered(name)
    return _declaration(user_function(f"rewards.{name}.path", path))


def names() -> list[str]:
    """Return the names of all rewards: shipped, registered, and of installed packages."""
    return sorted({*SHIPPED, *_declared, *_installed()})


def check(rewards: Iterable[RewardFunction], prompts: Sequence[Prompt]) -> None:
    """Make sure, before anything is trained, that every reward finds its arguments in every prompt."""
    trials = [trial(prompt) for prompt in prompts]
    for function in rewards:
        if function.parameters.many:
            function.bind_many(trials)
        else:
            for rollout in trials:
                function.bind(rollout)


def _check_parameters(name: str, function: Callable[..., Any], parameters: Parameters, settings: dict) -> None:
    if parameters.positional:
        raise RewardError(
            f"rewards.{name}: `{parameters.positional}` of {location(function)} can only be given by position, but "
            "arguments are handed over by name."
        )
    if parameters.everything and parameters.many:
        raise RewardError(
            f"rewards.{name}: {location(function)} judges many rollouts, and so cannot take everything there is: name "
            "the columns it needs."
        )
    if not parameters.everything:
        for key in settings:
            if meant(key, parameters.names) not in parameters.names:
                raise ConfigError(no_such_argument(name, key, parameters.names))


def _registered(name: str) -> _Declared:
    if name not in _declared and name in SHIPPED:
        import_module(SHIPPED[name])
    if name in _declared:
        return _declared[name]
    if name in _installed():
        return _declaration(_loaded(name, _installed()[name]))
    known = names()
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(f'`{k}`' for k in known)}."
    raise RewardError(f"rewards.{name} is not a reward. {hint} For your own, set rewards.{name}.path.")


def _declaration(function: Callable[..., Any]) -> _Declared:
    return next((found for found in _declared.values() if found.function is function), _Declared(function))


def _installed() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=GROUP)}


def _loaded(name: str, found: EntryPoint) -> Callable[..., Any]:
    return user_function(f"the entry point {name} of {found.dist.name if found.dist else GROUP}", found.value)
