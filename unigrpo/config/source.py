"""What the user wrote, from yaml files and from the command line, with the place of each key for error messages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_origin

import yaml

from unigrpo.config.dialect import Loader
from unigrpo.config.files import find_config
from unigrpo.config.schema import bare, find, is_text
from unigrpo.errors import ConfigError

Path = tuple[str, ...]
OVERRIDE = re.compile(r"(?P<dashes>(--)?)(?P<key>[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)
BOOLEANS = {"true", "false", "yes", "no", "on", "off"}


@dataclass(frozen=True)
class Source:
    """Settings of one file, or one override of the command line (which has no file)."""

    values: dict[str, Any]
    file: str | None = None
    lines: dict[Path, int] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """` (FILE, line N)` of a key or of the nearest section around it; nothing for the command line."""
        if self.file is None:
            return ""
        known = (self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines)
        line = next(known, None)
        return f" ({self.file}, line {line})" if line else f" ({self.file})"


def read_yaml(name: str) -> Source:
    """Reads a config file.

    Raises:
        ConfigError: it is missing, empty, broken, no mapping, or has a key twice.
    """
    try:
        text = find_config(name).read_text(encoding="utf-8")
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{name} is empty: a config holds settings such as `steps: 100`.")
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name} holds no settings: write `key: value` lines, such as `steps: 100`.")
        lines = dict(_walk(node, (), name, ()))
        return Source(loader.construct_document(node), name, lines)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}{_mark(error)}: not valid YAML: {_reason(error)}.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{name} cannot be read: {error}.") from None


def _walk(node: yaml.MappingNode, path: Path, file: str, around: tuple[int, ...]) -> Iterator[tuple[Path, int]]:
    if id(node) in around:
        raise ConfigError(f"{file}, line {node.start_mark.line + 1}: {'.'.join(path)} contains itself.")
    seen: dict[str, int] = {}
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in seen:
            raise ConfigError(f"{'.'.join((*path, name))} is set twice ({file}, lines {seen[name]} and {line}).")
        seen[name] = line
        yield (*path, name), line
        if isinstance(value, yaml.MappingNode):
            yield from _walk(value, (*path, name), file, (*around, id(node)))


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""


def _reason(error: yaml.YAMLError) -> str:
    return getattr(error, "problem", None) or " ".join(str(error).split())


def read_args(schema: type, args: list[str]) -> list[Source]:
    """Files and overrides of a command line; overrides come after all files, wherever they stand.

    Raises:
        ConfigError: an argument is neither a file nor a setting, or a value is missing or broken.
    """
    files, overrides, rest = [], [], list(args)
    while rest:
        word = rest.pop(0)
        if match := OVERRIDE.fullmatch(word):
            overrides.append(_override(schema, match["key"], match["value"]))
        elif re.fullmatch(r"--[A-Za-z_][\w.-]*", word):
            overrides.append(_override(schema, word[2:], _following(schema, word, rest)))
        elif word.startswith("-"):
            raise ConfigError(f"{word} is no option: settings are written key=value, --key=value or --key value.")
        elif word.endswith((".yaml", ".yml")):
            files.append(read_yaml(word))
        else:
            raise ConfigError(f"{word} is neither a .yaml file nor a setting: settings are written key=value.")
    return files + overrides


def _following(schema: type, option: str, rest: list[str]) -> str:
    """The value of `--key`: the next word, or true for a lone flag."""
    if find(schema, _path(option[2:])) is bool and not (rest and rest[0].lower() in (*BOOLEANS, "auto")):
        return "true"
    if not rest or rest[0].startswith("--"):
        raise ConfigError(f"{option} has no value: write {option}=VALUE.")
    return rest.pop(0)


def _path(key: str) -> Path:
    return tuple(key.replace("-", "_").split("."))


def _override(schema: type, key: str, text: str) -> Source:
    path = _path(key)
    values: Any = parse_value(find(schema, path), text, ".".join(path))
    for name in reversed(path):
        values = {name: values}
    return Source(values)


def parse_value(annotation: Any, text: str, key: str) -> Any:
    """The value of an override, as YAML; for a text field, whatever YAML would not take as text stays as it is."""
    if key == "resume" and text == "auto":  # what others call it: go on if there is something to go on from
        return True
    try:
        value = yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        if annotation is not None and is_text(annotation):
            return text
        raise ConfigError(f"{key}={text} is not valid YAML: {_reason(error)}.") from None
    if text == "" or (annotation is not None and is_text(annotation) and not isinstance(value, str | None)):
        return text
    return value


def settings(schema: Any, values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path and value of a nested mapping, as deep as the schema knows sections."""
    if not isinstance(values, dict) or (path and not (_is_section(schema) and values)):
        yield path, values
        return
    for key, value in values.items():
        below = find(schema, (str(key),)) if schema is not None else None
        yield from settings(below, value, (*path, str(key)))


def _is_section(annotation: Any) -> bool:
    inner = bare(annotation) if annotation is not None else None
    return hasattr(inner, "__dataclass_fields__") or get_origin(inner) is dict
