"""Help made from the dataclasses: each field is explained once, by the string below it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin

from unigrpo.config.schema import bare, field_types, find, leaves, type_name
from unigrpo.errors import ConfigError

WIDTH = 100


@cache
def docs(section: type) -> dict[str, str]:
    """The string below each field of a section, as one line, by field; fields of the class it extends come first."""
    inherited = {name: doc for base in section.__bases__ if is_dataclass(base) for name, doc in docs(base).items()}
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(tree, ast.ClassDef)
    return inherited | {
        statement.target.id: " ".join(below.value.value.split())
        for statement, below in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def help_text(schema: type, section: str | None = None) -> str:
    """Every dotted key of a config, or of one section, with its default, type and meaning.

    Raises:
        ConfigError: there is no such section.
    """
    if section is None:
        return "\n".join([*_wrapped(_first_line(schema), ""), *_section(schema, schema(), "", {})])
    path = tuple(section.split("."))
    annotation = find(schema, path)
    if annotation is None:
        raise ConfigError(f"{section} is no section: those of {schema.__name__} are {', '.join(_names(schema))}.")
    inner = _section_type(annotation)
    if inner is None:
        return help_text(schema, ".".join(path[:-1]) or None)
    name = f"{section}.NAME" if get_origin(bare(annotation)) is dict else section
    return "\n".join(_titled(inner, _default(schema(), path, inner), name, {}))


def _names(schema: type) -> list[str]:
    return list(dict.fromkeys(key.rpartition(".")[0] for key in leaves(schema) if "." in key))


def _first_line(section: type) -> str:
    return " ".join((inspect.getdoc(section) or "").split())


def _section_type(annotation: Any) -> type | None:
    """The section that a field holds, by itself or by name."""
    inner = bare(annotation)
    inner = get_args(inner)[1] if get_origin(inner) is dict else inner
    return inner if is_dataclass(inner) else None  # type: ignore[return-value]


def _default(config: Any, path: tuple[str, ...], section: type) -> Any:
    for name in path:
        config = getattr(config, name, None)
    return config if isinstance(config, section) else section()


def _titled(section: type, default: Any, prefix: str, seen: dict[type, str]) -> Iterator[str]:
    yield f"\n{prefix}"
    yield from _wrapped(_first_line(section), "  ")
    yield from _section(section, default, f"{prefix}.", seen)


def _section(section: type, default: Any, prefix: str, seen: dict[type, str]) -> Iterator[str]:
    """The values of a section, then the sections inside it; one whose keys were already given is only named."""
    seen[section] = prefix.removesuffix(".")
    types, meaning, inside = field_types(section), docs(section), []
    for field in fields(section):
        value, annotation = getattr(default, field.name), types[field.name]
        if (inner := _section_type(annotation)) is None:
            yield f"  {prefix}{field.name}={_shown(value)}  ({type_name(annotation)})"
            yield from _wrapped(meaning[field.name], "      ")
        else:
            name = f"{prefix}{field.name}" + (".NAME" if get_origin(bare(annotation)) is dict else "")
            inside.append((inner, value if isinstance(value, inner) else inner(), name, meaning[field.name]))
    for inner, value, name, doc in inside:
        if inner in seen and value == inner():
            yield f"\n{name}"
            yield from _wrapped(f"{doc} Keys as in `{seen[inner]}`.", "  ")
        else:
            yield from _titled(inner, value, name, seen)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return str(value) if value != "" else "''"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
