"""What the dataclasses say about themselves: the keys of a config, their types, and the words for them."""

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


@cache
def field_types(section: type) -> dict[str, Any]:
    """The annotation of each field of a section, by name."""
    hints = get_type_hints(section)
    return {field.name: hints[field.name] for field in fields(section)}


def bare(annotation: Any) -> Any:
    """The annotation without `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    return annotation


def optional(annotation: Any) -> bool:
    """Whether null is a value of this annotation."""
    return annotation is Any or type(None) in get_args(annotation)


def child(annotation: Any, key: str) -> Any:
    """The annotation of one key below a section or a mapping; None when there is no such key."""
    annotation = bare(annotation)
    if is_dataclass(annotation):
        return field_types(annotation).get(key)  # type: ignore[arg-type]
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return Any if annotation is Any else None


def find(schema: type, path: tuple[str, ...]) -> Any:
    """The annotation at a dotted path; None when the path leads nowhere."""
    annotation: Any = schema
    for key in path:
        annotation = child(annotation, key)
    return annotation


def leaves(schema: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key that holds a value; `NAME` stands for a name of the user's."""
    for name, annotation in field_types(schema).items():
        inner = bare(annotation)
        if is_dataclass(inner):
            yield from leaves(inner, f"{prefix}{name}.")
        elif get_origin(inner) is dict and is_dataclass(get_args(inner)[1]):
            yield from leaves(get_args(inner)[1], f"{prefix}{name}.NAME.")
        else:
            yield f"{prefix}{name}"


def choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal; empty for other types."""
    annotation = bare(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def is_text(annotation: Any) -> bool:
    """Whether a value of this annotation is text."""
    return bare(annotation) is str or bool(choices(annotation))


def type_name(annotation: Any) -> str:
    """The annotation in words: `int`, `list of str`, `k1 | k2 | k3`."""
    inner = bare(annotation)
    if choices(inner):
        name = " | ".join(map(str, choices(inner)))
    elif get_origin(inner) is list:
        name = f"list of {type_name(get_args(inner)[0])}"
    elif get_origin(inner) is dict:
        name = "mapping"
    else:
        name = "any" if inner is Any else inner.__name__
    return f"{name} | null" if optional(annotation) and inner is not Any else name
