"""From the command line to a config, and from a config to a file.

Files are merged left to right over the defaults, overrides come last. A value may refer to another key, as in
`output: runs/${seed}`; it is filled in once, here. Environment variables are not read.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unigrpo.config.dialect import Dumper
from unigrpo.config.explain import problem, wrong_type
from unigrpo.config.files import shipped_configs, write_atomically
from unigrpo.config.source import Source, read_args, settings
from unigrpo.errors import ConfigError

__all__ = ["diff", "flatten", "load_config", "save_config", "shipped_configs", "to_yaml"]

T = TypeVar("T")
MISFIT = (OmegaConfBaseException, TypeError)
"""What a value that the schema does not take ends in; the second is a list in place of a mapping."""


def load_config(schema: type[T], args: Sequence[str]) -> T:
    """The config that yaml files and overrides (`a.b=1`, `--a.b=1`, `--a.b 1`, `--flag`) describe.

    Raises:
        ConfigError: a setting is unknown or of the wrong type, or a file is missing or broken.
    """
    sources = read_args(schema, list(args))
    for source in sources:
        for path, value in settings(schema, source.values):
            if message := problem(schema, path, value, source):
                raise ConfigError(message)
    base = OmegaConf.structured(schema)
    try:
        merged = OmegaConf.merge(base, *[source.values for source in sources])
    except MISFIT:
        raise ConfigError(_misfit(schema, base, sources)) from None
    try:
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except (OmegaConfBaseException, RecursionError) as error:
        raise ConfigError(_unresolved(error, sources)) from None


def _misfit(schema: type, base: Any, sources: list[Source]) -> str:
    """The first setting that the schema refuses, found by trying one after the other."""
    every = ((source, path, value) for source in sources for path, value in settings(schema, source.values))
    source, path, value = next(setting for setting in every if not _fits(base, *setting[1:]))
    return wrong_type(schema, path, value) + source.where(path)


def _fits(base: Any, path: tuple[str, ...], value: Any) -> bool:
    for key in reversed(path):
        value = {key: value}
    try:
        OmegaConf.merge(base, value)
    except MISFIT:
        return False
    return True


def _unresolved(error: Exception, sources: list[Source]) -> str:
    """What went wrong when `${a.b}` was filled in."""
    key = getattr(error, "full_key", None)
    if not key:
        return "The config refers to itself: follow the ${...} of its values."
    path = tuple(re.split(r"[.\[]", key.replace("]", "")))
    where = next((place for source in reversed(sources) if (place := source.where(path)).count("line")), "")
    return f"{key}: {str(error).splitlines()[0]}.{where}"


def _plain(value: Any) -> Any:
    """Nested dicts and lists, with `${` escaped, so that text is read back as it was."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", value)
    return value


def to_yaml(config: Any) -> str:
    """The whole config as YAML."""
    return yaml.dump(_plain(config), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000)


def save_config(config: Any, path: str | Path) -> None:
    """Writes the whole config, under the command that repeats it; `load_config` of the file gives an equal one."""
    verb = type(config).__name__.removesuffix("Config").lower()
    again = f"output={shlex.quote(f'{config.output}-again')}" if getattr(config, "output", None) else ""
    header = f"# unigrpo {verb} {shlex.quote(str(path))} {again}".replace("\n", " ").rstrip()
    write_atomically(Path(path), f"{header}\n{to_yaml(config)}")


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; lists stay whole."""
    if is_dataclass(config):
        items = {field.name: getattr(config, field.name) for field in fields(config)}
    elif isinstance(config, dict) and config:
        items = config
    else:
        return {prefix: config}
    dot = f"{prefix}." if prefix else ""
    return {key: value for name, item in items.items() for key, value in flatten(item, f"{dot}{name}").items()}


def diff(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which two configs differ, with both values; a key that one lacks has None there."""
    before, after = flatten(old), flatten(new)
    return {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)}
