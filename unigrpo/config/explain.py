"""One-line explanations of settings that do not fit the schema."""

import difflib
import re
from dataclasses import is_dataclass
from typing import Any, get_origin

from unigrpo.config.schema import bare, child, choices, field_types, find, leaves, optional, type_name
from unigrpo.config.source import Path, Source

NO_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*(\$\{(?!\s*[\w.\[\]]+\s*\}).{0,20})")
"""An unescaped `${` that does not open the plain name of a key."""


def problem(schema: type, path: Path, value: Any, source: Source) -> str | None:
    """Why a setting cannot be used, judging by the names and not yet by the type; None when it can.

    A value may refer to other keys but not to the environment: a run's config is saved, and a secret with it.
    """
    where, key = source.where(path), ".".join(path)
    for depth, name in enumerate(path):
        around = find(schema, path[:depth]) if depth else schema
        if child(around, name) is None:
            return _unknown(schema, path[: depth + 1], around) + where
    annotation = find(schema, path)
    if value == "???":
        return f"{key}='???' is no value.{where}"
    if (match := _no_reference(value)) is not None:
        return (
            f"{key} holds {match!r}: only ${{other.key}} is filled in, because the config is saved with the run and "
            f"would keep what the environment holds.{where}"
        )
    if is_dataclass(bare(annotation)) and not isinstance(value, dict) and not (value is None and optional(annotation)):
        first = next(leaves(bare(annotation)))
        return f"{key}={_shown(value)} is not a section: set its keys, such as {key}.{first}=...{where}"
    return None


def _no_reference(value: Any) -> str | None:
    if isinstance(value, dict | list):
        found = (_no_reference(item) for item in (value.values() if isinstance(value, dict) else value))
        return next((match for match in found if match), None)
    match = NO_REFERENCE.search(value) if isinstance(value, str) else None
    return match[1] if match else None


def _unknown(schema: type, path: Path, around: Any) -> str:
    key, inner = ".".join(path), bare(around)
    close = suggestions(schema, path, list(field_types(inner)))  # type: ignore[arg-type]
    hint = " or ".join(f"'{name}'" for name in close)
    rest = f"Did you mean: {hint}?" if close else f"Its keys are {', '.join(field_types(inner))}."  # type: ignore[arg-type]
    return f"{key}: Key '{path[-1]}' not in '{inner.__name__}'. {rest}"  # type: ignore[union-attr]


def suggestions(schema: type, path: Path, siblings: list[str]) -> list[str]:
    """Keys that may have been meant: the same name elsewhere, else a similar sibling, else a similar name elsewhere."""
    elsewhere = list(leaves(schema))
    same = [key for key in elsewhere if key.split(".")[-1] == path[-1]]
    if same:
        return same[:3]
    close = difflib.get_close_matches(path[-1], siblings, n=1, cutoff=0.55)
    if close:
        return close
    names = difflib.get_close_matches(path[-1], [key.split(".")[-1] for key in elsewhere], n=1, cutoff=0.7)
    return [key for key in elsewhere if key.split(".")[-1] in names][:3]


def wrong_type(schema: type, path: Path, value: Any) -> str:
    """Says what a value is not."""
    annotation, key = find(schema, path), ".".join(path)
    if choices(annotation):
        return f"{key}={_shown(value)} is not one of {', '.join(map(str, choices(annotation)))}."
    name = type_name(bare(annotation))
    article = "an" if name[0] in "aeiou" else "a"
    hint = f" Write {key}=[{value}]." if get_origin(bare(annotation)) is list and isinstance(value, str) else ""
    return f"{key}={_shown(value)} is not {article} {name}.{hint}"


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)
