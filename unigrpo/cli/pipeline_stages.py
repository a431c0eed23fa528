"""The stages of a pipeline as configs that have been checked, in the order in which they need each other."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unigrpo.cli.verbs import STAGES, find_verb
from unigrpo.config import PipelineConfig
from unigrpo.errors import ConfigError

REFERENCE = re.compile(r"\{([A-Za-z_]\w*)\}(?=/|$)")
"""What a path begins with that another stage writes."""


@dataclass(frozen=True)
class Stage:
    """A verb with its settings, which have been checked."""

    name: str
    verb: str
    config: Any
    reads: tuple[str, ...]
    """The stages that its settings refer to."""
    skip: bool = False

    @property
    def folder(self) -> Path:
        """Where it writes."""
        return Path(self.config.output)

    @property
    def result(self) -> Path:
        """What is there when it is done."""
        return self.folder / str(STAGES[self.verb].result).format_map(vars(self.config))

    def has(self, setting: str) -> bool:
        """Whether the verb has a setting of this name."""
        return any(field.name == setting for field in fields(self.config))


def stages_of(config: PipelineConfig) -> dict[str, Stage]:
    """The stages by name: in the order of the file, but none before one that it refers to.

    Raises:
        ConfigError: the settings of a stage cannot be used, or stages need each other.
    """
    return {name: stage_of(config, name) for name in _ordered(config)}


def stage_of(config: PipelineConfig, name: str) -> Stage:
    """One stage as it would run.

    Raises:
        ConfigError: its settings cannot be used, as far as that can be known before any stage has run.
    """
    section, output = config.stages[name], Path(config.output)
    settings = [f"{key}={json.dumps(_filled(value, output))}" for key, value in section.settings.items()]
    try:
        verb = find_verb(section.verb, list(STAGES))
        found = verb.checked([*section.files, *settings, f"output={json.dumps(str(output / name))}"])
    except ConfigError as error:
        raise ConfigError(f"stages.{name}: {error}") from None
    return Stage(name, section.verb, found, _references(config, name), section.skip)


def _references(config: PipelineConfig, name: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(match for text in _texts(config.stages[name].settings) for match in _named(text)))
    unknown = next((one for one in found if one not in config.stages or one == name), None)
    if unknown is not None:
        others = ", ".join(other for other in config.stages if other != name) or "none"
        raise ConfigError(f"stages.{name} refers to {{{unknown}}}, which is no other stage: those are {others}.")
    return found


def _ordered(config: PipelineConfig) -> list[str]:
    left = {name: _references(config, name) for name in config.stages}
    order: list[str] = []
    while left:
        ready = next((name for name, needs in left.items() if not left.keys() & set(needs)), None)
        if ready is None:
            raise ConfigError(f"stages {', '.join(left)} need each other, so that none can be the first.")
        order.append(ready)
        del left[ready]
    return order


def _named(text: str) -> list[str]:
    match = REFERENCE.match(text)
    return [match[1]] if match else []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _texts(item)


def _filled(value: Any, output: Path) -> Any:
    """A setting with what refers to a stage replaced by its folder."""
    if isinstance(value, str) and (match := REFERENCE.match(value)):
        return f"{output / match[1]}{value[match.end() :]}"
    if isinstance(value, dict):
        return {key: _filled(item, output) for key, item in value.items()}
    return [_filled(item, output) for item in value] if isinstance(value, list) else value
