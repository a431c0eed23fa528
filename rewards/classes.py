"""Rewards that are classes: built once from the settings of their entry, then called like a function."""

import inspect
import json
from collections.abc import Callable
from difflib import get_close_matches
from types import MethodType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rewards.arguments import Parameters
from rewards.source import location, raised_at
from unigrpo.config.secrets import filled, meant
from unigrpo.errors import ConfigError, RewardError, UniGRPOError

Built = dict[tuple[Any, ...], Any]
"""The objects that were built and the processes that hold some, by class and settings: two entries that agree in both
share one."""


def build(name: str, cls: type, args: dict[str, Any], built: Built) -> Callable[..., Any]:
    """Return the object of a class with these settings, from `built` if it is there.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type, or the constructor refuses it.
        RewardError: the class is no reward, or its constructor failed.
    """
    key = cls, of_settings(args)
    if key not in built:
        _check(name, cls, args)
        built[key] = _constructed(name, cls, args)
    return built[key]


def of_settings(args: dict[str, Any]) -> str:
    """Return the same text for equal settings."""
    return json.dumps(args, sort_keys=True, default=repr)


def unbuilt(name: str, cls: type, args: dict[str, Any]) -> Callable[..., Any]:
    """Return what the objects of a class are called with, without building one.

    Raises:
        ConfigError: as `build` does.
        RewardError: the class is no reward.
    """
    _check(name, cls, args)
    return MethodType(next(vars(base)["__call__"] for base in cls.__mro__ if "__call__" in vars(base)), cls)


def no_such_argument(name: str, key: str, parameters: tuple[str, ...]) -> str:
    """Return the message for a setting that a reward does not take."""
    close = get_close_matches(key, parameters, n=1)
    takes = f"It takes {', '.join(f'`{p}`' for p in parameters)}." if parameters else "It takes no settings."
    hint = f"Did you mean `{close[0]}`?" if close else takes
    return f"rewards.{name}.args.{key}: `{name}` takes no `{key}`. {hint}"


def _check(name: str, cls: type, args: dict[str, Any]) -> None:
    if not any("__call__" in base.__dict__ for base in cls.__mro__):
        raise RewardError(f"rewards.{name}: {cls.__name__} has no `__call__`, so it scores nothing: define it.")
    parameters = Parameters.of(cls)
    types = _types(cls)
    for key, value in args.items():
        target = meant(key, parameters.names)
        if target not in parameters.names and not parameters.everything:
            raise ConfigError(no_such_argument(name, key, parameters.names))
        # What is in an environment variable is text, and is not looked at here, where it could be shown.
        if not _fits(value if target == key else "", types.get(target, Any)):
            wanted = inspect.formatannotation(types[target]).replace("typing.", "")
            raise ConfigError(f"rewards.{name}.args.{key} is {value!r}, but `{name}` takes {wanted} there.")
    given = {meant(key, parameters.names) for key in args}
    missing = next((key for key in parameters.required if key not in given), None)
    if missing:
        raise ConfigError(f"rewards.{name}.args.{missing} is not set: `{name}` cannot do without it.")


def _constructed(name: str, cls: type, args: dict[str, Any]) -> Callable[..., Any]:
    args = filled(name, args, Parameters.of(cls).names)
    try:
        return cls(**args)
    except UniGRPOError as error:
        raise type(error)(f"rewards.{name}: {error}") from error
    except Exception as error:
        raise RewardError(
            f"rewards.{name}: making {cls.__name__} ({location(cls)}) raised {type(error).__name__}: {error} at "
            f"{raised_at(error, cls)}. Correct it there, or rewards.{name}.args."
        ) from error


def _types(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__)
    except (NameError, TypeError):  # an annotation that only a type checker can read
        return {}


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value from a config is one of an annotation; one that configs cannot express is not checked."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(annotation))
    if origin is Literal:
        return value in get_args(annotation)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    plain = origin or annotation
    return isinstance(value, plain) if plain in (str, bool, list, dict, NoneType) else True
