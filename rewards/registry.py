"""Rewards by name: which functions there are, and which arguments each is handed."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar, get_args

from rewards.source import location, user_function
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import Prompt, Rollout, Task

SHIPPED = {
    "countdown": "rewards.countdown",
    "exact_match": "rewards.text",
    "format": "rewards.format",
    "math": "rewards.math",
}
TASKS: tuple[Task, ...] = get_args(Task)
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Declared:
    function: Callable[..., Any]
    tasks: tuple[Task, ...]
    check: Callable[[dict[str, Any]], None] | None


_declared: dict[str, _Declared] = {}


def reward(
    name: str, tasks: Sequence[Task] = TASKS, check: Callable[[dict[str, Any]], None] | None = None
) -> Callable[[F], F]:
    """Register a function as the reward of this name, and return it unchanged.

    Args:
        tasks: tasks whose rollouts it can judge.
        check: called with the settings of the reward's entry before training; raises `ConfigError` on a bad one.
    """

    def register(function: F) -> F:
        other = _declared.get(name)
        if other is not None and location(other.function) != location(function):
            raise RewardError(f"reward `{name}` is already defined at {location(other.function)}: choose another name.")
        unknown = [task for task in tasks if task not in TASKS]
        if unknown:
            raise RewardError(f"reward `{name}` names task {unknown[0]!r}: the tasks are {', '.join(TASKS)}.")
        _declared[name] = _Declared(function, tuple(tasks), check)
        return function

    return register


@dataclass(frozen=True)
class RewardFunction:
    """A reward ready to be called: its function, the tasks it judges and the settings it is handed."""

    name: str
    function: Callable[..., Any]
    tasks: tuple[Task, ...]
    settings: dict[str, Any]

    def __call__(self, rollout: Rollout) -> Any:
        """Return what the function says of one rollout, unchecked."""
        data = {"response": rollout.output, "tokens": rollout.tokens, "rollout": rollout}
        return self.function(**self.bind(rollout.prompt, data))

    def bind(self, prompt: Prompt, data: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name: settings first, then the rollout, then the columns of the prompt's row.

        Raises:
            RewardError: the reward does not judge this task, or a required argument is nowhere.
        """
        if prompt.task not in self.tasks:
            raise RewardError(
                f"rewards.{self.name} judges {' and '.join(self.tasks)}, but prompt {prompt.id} is of task "
                f"{prompt.task}: remove the reward, or the prompts."
            )
        answer = {} if prompt.answer is None else {"answer": prompt.answer}
        found = {**prompt.metadata, "prompt": prompt.text, **answer, **data, **self.settings}
        parameters = inspect.signature(self.function).parameters.values()
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            wanted = found
        else:
            wanted = {p.name: found[p.name] for p in parameters if p.name in found}
        for parameter in parameters:
            if parameter.name not in found and _required(parameter):
                raise self._missing(parameter.name, prompt, found)
        return wanted

    def _missing(self, argument: str, prompt: Prompt, found: dict[str, Any]) -> RewardError:
        hint = (
            "map a column to it with data.columns.answer, or set" if argument == "answer" else "add the column, or set"
        )
        return RewardError(
            f"rewards.{self.name} needs `{argument}`, which prompt {prompt.id} does not have. "
            f"Available: {', '.join(sorted(found))}. Either {hint} rewards.{self.name}.args.{argument}."
        )


def resolve(name: str, entry: RewardEntry) -> RewardFunction:
    """Find the reward that an entry of `rewards` means: its own `path`, or the registered reward of this name.

    Raises:
        RewardError: there is no such reward, or it cannot be loaded.
        ConfigError: `args` holds something the reward does not take.
    """
    if entry.path is not None:
        function = user_function(name, entry.path)
        declared = next((d for d in _declared.values() if d.function is function), _Declared(function, TASKS, None))
    else:
        declared = _registered(name)
    parameters = inspect.signature(declared.function).parameters
    positional = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
    if positional:
        raise RewardError(
            f"rewards.{name}: `{positional[0]}` of {location(declared.function)} can only be given by position, but "
            "arguments are handed over by name."
        )
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for key in entry.args:
            if key not in parameters:
                raise ConfigError(f"rewards.{name}.args.{key}: {_no_such_argument(name, key, list(parameters))}")
    if declared.check is not None:
        declared.check(entry.args)
    return RewardFunction(name, declared.function, declared.tasks, dict(entry.args))


def check(rewards: Iterable[RewardFunction], prompts: Sequence[Prompt]) -> None:
    """Make sure, before anything is trained, that every reward finds its arguments in every prompt."""
    promised = {"response": None, "tokens": None, "rollout": None}
    for function in rewards:
        for prompt in prompts:
            function.bind(prompt, promised)


def _registered(name: str) -> _Declared:
    if name not in _declared and name in SHIPPED:
        import_module(SHIPPED[name])
    if name in _declared:
        return _declared[name]
    known = sorted({*SHIPPED, *_declared})
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(f'`{k}`' for k in known)}."
    raise RewardError(f"rewards.{name} is not a reward. {hint} For your own, set rewards.{name}.path.")


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD


def _no_such_argument(name: str, key: str, parameters: list[str]) -> str:
    close = get_close_matches(key, parameters, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"It takes {', '.join(f'`{p}`' for p in parameters)}."
    return f"`{name}` takes no `{key}`. {hint}"
