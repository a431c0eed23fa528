"""The format reward: does the whole response have the shape that was asked for?"""

import re
from functools import lru_cache
from typing import Any

from rewards.registry import reward
from unigrpo.errors import ConfigError

THINK = "<think>{think}</think> {answer}"
"""MMaDA's format: reasoning between tags, then the answer."""

_TAG = re.compile(r"</?[A-Za-z][\w-]*>")
_SPACED_TAG = re.compile(f" ?({_TAG.pattern}) ?")
_SPAN = re.compile(r"\{(\w+)\}")


def check_template(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` when the entry's template is no template."""
    if "template" in settings:
        _literals(settings["template"])


@reward("format", tasks=("text", "understand"), check=check_template)
def format(response: str, template: str = THINK) -> float:
    """Return 1 when the whole response matches the template, else 0.

    Args:
        template: text with `{name}` where something must be written; white space is flexible. No span may hold a tag of
            the template, and one that no tag closes may hold no tag at all, so that a block never occurs twice.
    """
    literals = _literals(template)
    own_tags = {tag for literal in literals for tag in _TAG.findall(literal)}
    text = _one_spacing(response)
    if not text.startswith(literals[0]):
        return 0.0
    position = len(literals[0])
    for literal in literals[1:]:
        stop = text.find(literal, position) if literal else len(text)
        tags = set(_TAG.findall(text, position, max(stop, position)))
        closed = literal.startswith("</")
        if stop < 0 or not text[position:stop].strip() or (tags & own_tags if closed else tags):
            return 0.0
        position = stop + len(literal)
    return float(position == len(text))


@lru_cache
def _literals(template: str) -> tuple[str, ...]:
    """Return the text before, between and after the spans."""
    if not isinstance(template, str):
        raise _bad(template, "is no text")
    pieces = _SPAN.split(template)
    names = pieces[1::2]
    literals = tuple(_one_spacing(piece) for piece in pieces[::2])
    if any(brace in literal for literal in literals for brace in "{}"):
        raise _bad(template, "has a brace that is not part of a `{name}`")
    if not names:
        raise _bad(template, "has no `{name}`")
    if "" in literals[1:-1]:
        raise _bad(template, "has two spans with no text between them")
    for name in names:
        if names.count(name) > 1:
            raise _bad(template, f"has `{{{name}}}` twice")
    return literals


def _one_spacing(text: str) -> str:
    """Return the text with single spaces, and none beside a tag."""
    return _SPACED_TAG.sub(r"\1", " ".join(text.split()))


def _bad(template: object, problem: str) -> ConfigError:
    return ConfigError(f"rewards.format.args.template {problem}: {template!r}. Write it like {THINK!r}.")
