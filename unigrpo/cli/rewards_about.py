"""What can be said of a reward without calling it: its arguments, how it is called, and where it is from."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from rewards.arguments import OF_MANY, OF_ONE, Parameters
from rewards.function import is_async
from rewards.registry import GROUP, SHIPPED, find
from rewards.source import location
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError

FROM_ROLLOUT = {*OF_ONE, *OF_MANY, "tokens"}
"""The names that stand for something of the rollout."""
HERE = Path(__file__).resolve().parents[2]
_MODULES = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")


@dataclass(frozen=True)
class Argument:
    """One thing that a reward is handed."""

    name: str
    source: str
    """`rollout`, `column`, `setting`, or `column or setting`."""
    kind: str
    """Its type, as it is written; empty where none is."""
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class About:
    """A reward as its author declared it, and as an entry of a config changes that."""

    name: str
    function: Callable[..., Any]
    tasks: tuple[str, ...]
    entry: RewardEntry
    timeout: float | None
    on_error: str
    group: bool
    origin: str

    @classmethod
    def of(cls, name: str, entry: RewardEntry | None = None) -> "About":
        """Find a reward; its module is imported, and nothing is built.

        Raises:
            RewardError: there is none, or it cannot be loaded.
            ConfigError: it runs in another environment, into which we cannot look.
        """
        entry = entry or RewardEntry()
        if entry.python is not None:
            raise ConfigError(f"rewards.{name} runs in the environment of {entry.python}: look at {entry.path} there.")
        found = find(name, entry.path)
        timeout = found.timeout if entry.timeout is None else entry.timeout
        on_error = entry.on_error or found.on_error
        origin = _origin(name, entry, found.function)
        return cls(name, found.function, found.tasks, entry, timeout, on_error, found.group, origin)

    @property
    def called(self) -> str:
        """How it is called."""
        parameters = Parameters.read((p.name, p.kind.name, p.default is p.empty) for p in self._call())
        how = ("for a group" if self.group else "for all") if parameters.many else "one by one"
        own_process = self.timeout is not None and not self.asynchronous
        return how + ", async" * self.asynchronous + ", own process" * own_process

    @property
    def asynchronous(self) -> bool:
        """Whether it is awaited."""
        return is_async(self.function)

    @property
    def place(self) -> str:
        """`file:line`, short for files of this package."""
        where = location(self.function)
        if inspect.isclass(self.function):  # whose code has lines, and the class itself has one too
            where = f"{inspect.getsourcefile(self.function)}:{inspect.getsourcelines(self.function)[1]}"
        return where.removeprefix(f"{HERE}/")

    @property
    def doc(self) -> str:
        """The docstring, with that of the constructor below it for a class."""
        texts = [inspect.getdoc(self.function)]
        if inspect.isclass(self.function):
            own = vars(self.function).get("__init__")  # not the one of `object`
            texts.append(inspect.cleandoc(own.__doc__) if own and own.__doc__ else "")
        return "\n\n".join(text for text in texts if text)

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        first = self.doc.partition("\n\n")[0]
        sentence, stop, _ = " ".join(first.split()).partition(". ")
        return sentence + stop.strip()

    def arguments(self) -> list[Argument]:
        """What it is handed, settings of a class first."""
        made = inspect.isclass(self.function)
        settings = list(inspect.signature(self.function).parameters.values()) if made else []
        return [_argument(p, "setting") for p in settings] + [_argument(p, _source(p, made)) for p in self._call()]

    def _call(self) -> list[inspect.Parameter]:
        """The parameters of a call, without `self`."""
        if not inspect.isclass(self.function):
            return list(inspect.signature(self.function).parameters.values())
        return list(inspect.signature(self.function.__call__).parameters.values())[1:]


def _source(parameter: inspect.Parameter, made: bool) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "all there is"
    if parameter.name in FROM_ROLLOUT:
        return "rollout"
    return "column" if made else "column or setting"


def _argument(parameter: inspect.Parameter, source: str) -> Argument:
    kind = "" if parameter.annotation is parameter.empty else inspect.formatannotation(parameter.annotation)
    return Argument(parameter.name, source, _MODULES.sub("", kind), parameter.default)


def _origin(name: str, entry: RewardEntry, function: Callable[..., Any]) -> str:
    if entry.path:
        return entry.path
    if name in SHIPPED:
        return "shipped"
    found = next((found for found in entry_points(group=GROUP) if found.name == name), None)
    if found is None:
        return location(function)
    return f"{found.dist.name} {found.dist.version}" if found.dist else found.value
