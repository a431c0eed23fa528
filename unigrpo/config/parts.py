"""What a config is made of, for those that explain it: its sections, in the order of reading, and their keys."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin

from unigrpo.config.schema import bare, field_types, type_name


@dataclass(frozen=True)
class Key:
    """One setting: its dotted name, its default as it would be written, its type and what it means."""

    name: str
    default: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Part:
    """A section; `NAME` in its name stands for a name of the user's, and that of the whole config is empty."""

    name: str
    meaning: str
    keys: tuple[Key, ...] = ()
    like: str | None = None
    """An earlier section that has the same keys, with the same defaults, so that they are not said again."""


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


def parts_of(schema: type) -> Iterator[Part]:
    """Every section of a config, the config itself first."""
    yield from section_parts(schema, schema(), "", {})


def section_parts(section: type, default: Any, name: str, seen: dict[type, str] | None = None) -> Iterator[Part]:
    """A section and those inside it.

    Args:
        default: the section as it is when nothing is set.
        seen: names of the sections that were already given, by class; it is added to.
    """
    seen = {} if seen is None else seen
    seen[section] = name
    prefix, meaning, inside = name and f"{name}.", docs(section), []
    keys = []
    for field, annotation in field_types(section).items():
        value, key = getattr(default, field), f"{prefix}{field}"
        if (inner := section_type(annotation)) is None:
            keys.append(Key(key, shown(value), type_name(annotation), meaning[field]))
        else:
            key += ".NAME" if get_origin(bare(annotation)) is dict else ""
            inside.append((inner, value if isinstance(value, inner) else inner(), key, meaning[field]))
    yield Part(name, " ".join((inspect.getdoc(section) or "").split()), tuple(keys))
    for inner, value, key, doc in inside:
        if inner in seen and value == inner():
            yield Part(key, doc, like=seen[inner])
        else:
            yield from section_parts(inner, value, key, seen)


def section_type(annotation: Any) -> type | None:
    """The section that a field holds, by itself or by name; None where it holds a value."""
    inner = bare(annotation)
    inner = get_args(inner)[1] if get_origin(inner) is dict else inner
    return inner if is_dataclass(inner) else None  # type: ignore[return-value]


def shown(value: Any) -> str:
    """A default as it would be written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return str(value) if value != "" else "''"
