"""Help made from the dataclasses: each field is explained once, by the string below it."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, get_origin

from unigrpo.config.parts import Part, parts_of, section_parts, section_type
from unigrpo.config.schema import bare, find, leaves
from unigrpo.errors import ConfigError

WIDTH = 100


def help_text(schema: type, section: str | None = None) -> str:
    """Every dotted key of a config, or of one section, with its default, type and meaning.

    Raises:
        ConfigError: there is no such section.
    """
    if section is None:
        return "\n".join(_lines(parts_of(schema)))
    path = tuple(section.split("."))
    annotation = find(schema, path)
    if annotation is None:
        raise ConfigError(f"{section} is no section: those of {schema.__name__} are {', '.join(_names(schema))}.")
    inner = section_type(annotation)
    if inner is None:
        return help_text(schema, ".".join(path[:-1]) or None)
    name = f"{section}.NAME" if get_origin(bare(annotation)) is dict else section
    return "\n".join(_lines(section_parts(inner, _default(schema(), path, inner), name)))


def _names(schema: type) -> list[str]:
    return list(dict.fromkeys(key.rpartition(".")[0] for key in leaves(schema) if "." in key))


def _default(config: Any, path: tuple[str, ...], section: type) -> Any:
    for name in path:
        config = getattr(config, name, None)
    return config if isinstance(config, section) else section()


def _lines(parts: Iterable[Part]) -> Iterator[str]:
    """The values of a section, then the sections inside it; one whose keys were already given is only named."""
    for part in parts:
        if part.name:
            yield f"\n{part.name}"
        meaning = part.meaning if part.like is None else f"{part.meaning} Keys as in `{part.like}`."
        yield from _wrapped(meaning, "  " if part.name else "")
        for key in part.keys:
            yield f"  {key.name}={key.default}  ({key.type})"
            yield from _wrapped(key.meaning, "      ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
