"""The settings of a config that name something on this disk, whichever verb they belong to."""

import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from unigrpo.config import ClipConfig, ExportConfig, FidSection, FilterSection, InitMmadaConfig, RewardEntry

T = TypeVar("T")
Place = Callable[[str, str], str]
"""From the dotted key and the value of a path to its value elsewhere.

A second use only looks: it notes what there is, or raises where a path would not do, and returns it unchanged.
"""
PATH_KEYS = ("path", "image_root", "codes")
MORE_KEYS = {ClipConfig: "network", ExportConfig: "source", FilterSection: "tokenizer", InitMmadaConfig: "source"}
"""Paths that are named otherwise, by their section."""


def placed(section: T, place: Place, prefix: str = "") -> T:
    """A section with all its paths replaced, those in the settings of rewards included."""
    if isinstance(section, dict):
        return {key: placed(item, place, f"{prefix}{key}.") for key, item in section.items()}  # type: ignore[return-value]
    if not is_dataclass(section) or isinstance(section, type):
        return section
    keys, found = _keys(section), {}
    for name in (field.name for field in fields(section)):
        value, key = getattr(section, name), f"{prefix}{name}"
        if name not in keys or value is None:
            found[name] = placed(value, place, f"{key}.")
        else:
            found[name] = _spec(key, value, place) if isinstance(section, RewardEntry) else place(key, value)
    if isinstance(section, FidSection) and section.features:
        found["features"] = _spec(f"{prefix}features", section.features, place)
    if isinstance(section, RewardEntry):
        found["args"] = _arguments(f"{prefix}args", section.args, place)
        if section.python and os.path.dirname(section.python):  # A bare name is looked for in PATH.
            found["python"] = place(f"{prefix}python", section.python)
    return replace(section, **found)


def _keys(section: Any) -> set[str | None]:
    """The settings of a section that are paths; what is on the hub has a name instead."""
    on_hub = {"path"} if getattr(section, "source", None) == "hub" else set()
    return {*PATH_KEYS, MORE_KEYS.get(type(section))} - on_hub


def _spec(key: str, spec: str, place: Place) -> str:
    where, _, attribute = spec.rpartition(":")
    return f"{place(key, where)}:{attribute}" if where.endswith(".py") else spec


def _arguments(key: str, value: Any, place: Place) -> Any:
    """A reward's own settings, in which text that names something here is taken for its path."""
    if isinstance(value, dict):
        return {name: _arguments(f"{key}.{name}", item, place) for name, item in value.items()}
    if isinstance(value, list):
        return [_arguments(key, item, place) for item in value]
    return place(key, value) if isinstance(value, str) and value and os.path.exists(value) else value
