"""The controls of the sampler's settings, made from their dataclasses, and back."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import gradio as gr

from unigrpo.config import ImageSamplingSection, SamplingSection
from unigrpo.config.parts import docs
from unigrpo.config.schema import bare, choices, field_types, optional
from unigrpo.errors import ConfigError

UNSEEN = {"batch_size", "eos_tail", "cache_check", "image"}
"""Settings that one answer does not show: how many are drawn at once, what is learned, what is measured, and a
section."""
Section = type[SamplingSection] | type[ImageSamplingSection]


def names_of(section: Section, without: tuple[str, ...] = ()) -> list[str]:
    """The settings that have a control, in the order of the dataclass."""
    return [field.name for field in fields(section) if field.name not in {*UNSEEN, *without}]


def controls(section: Section, proposed: Any, prefix: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A control for each setting, by its key.

    Args:
        proposed: a section with the values that they begin with.
        prefix: of the keys, such as `text.`.
    """
    types, meaning = field_types(section), docs(section)
    return {
        f"{prefix}{name}": _control(name, types[name], getattr(proposed, name), meaning[name].replace("`", ""))
        for name in names_of(section, without)
    }


def _control(name: str, annotation: Any, value: Any, info: str) -> Any:
    label, kind = name.replace("_", " "), bare(annotation)
    if choices(annotation):
        return gr.Dropdown(list(choices(annotation)), value=value, label=label, info=info)
    if kind is bool:
        return gr.Checkbox(value, label=label, info=info)
    if optional(annotation):  # a number that is not set would be shown as 0
        return gr.Textbox("" if value is None else f"{value:g}", label=label, info=info, placeholder="not set")
    if kind is int:
        return gr.Number(value, label=label, info=info, precision=0)
    return gr.Number(value, label=label, info=info, step=0.1)


def section_from(section: Section, given: Mapping[str, Any], prefix: str, keep: Any) -> Any:
    """The section that controls describe; what has no control is as in `keep`.

    Raises:
        ConfigError: a number is missing, or is none.
    """
    return type(keep)(**(vars(keep) | dict(_values(section, given, prefix))))


def _values(section: Section, given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    types = field_types(section)
    for name in names_of(section):
        if f"{prefix}{name}" not in given:
            continue
        value, kind = given[f"{prefix}{name}"], bare(types[name])
        yield name, _number(name, kind, value, optional(types[name])) if kind in (int, float) else value


def _number(name: str, kind: type, value: Any, may_be_empty: bool) -> int | float | None:
    text = "" if value is None else str(value).strip()
    if not text and may_be_empty:
        return None
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        leave = ", or leave it empty" if may_be_empty else ""
        raise ConfigError(f"{name.replace('_', ' ')} is {text!r}: write {what}{leave}.") from None
