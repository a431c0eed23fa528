"""Rewards that look for patterns of yours in a response: regular expressions, phrases, tags."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex as engine

from rewards.extract import answer_part
from rewards.format import THINK
from rewards.registry import reward
from rewards.score import Score
from unigrpo.errors import ConfigError

SECONDS = 1.0
"""Time limit of one match: a pattern with nested repeats may take for ever on a response made for it."""

_TAG = re.compile(r"</?[A-Za-z][\w-]*>")
_CHOICES = {"part": ("response", "answer"), "match": ("search", "full"), "need": ("any", "all")}


def check_regex(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless there is a pattern that compiles."""
    _check_choices("regex", settings)
    if "pattern" not in settings:
        raise ConfigError("rewards.regex.args.pattern is not set: `regex` cannot do without it.")
    _compiled(settings["pattern"])


@reward("regex", tasks=("text", "understand"), check=check_regex)
def regex(response: str, pattern: str, part: str = "response", match: str = "search") -> float | Score:
    """Return 1 when a regular expression is found in the response, else 0; also 0 if that is not known within a second.

    Args:
        pattern: as Python's `re` has them, and what the package `regex` adds.
        part: look in the whole `response`, or only in its `answer` part.
        match: `search` for the pattern anywhere, or ask for the `full` text, without white space around it, to match.
    """
    text = _part(response, part)
    if text is None:
        return 0.0
    compiled = _compiled(pattern)
    try:
        found = compiled.search(text, timeout=SECONDS) if match == "search" else _full(compiled, text)
    except TimeoutError:
        return Score(0.0, note=f"no match within {SECONDS:g} s", fault="timeout")
    return float(found is not None)


def check_contains(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless there are texts to look for."""
    _check_choices("contains", settings)
    texts = settings.get("texts")
    if not isinstance(texts, Sequence) or isinstance(texts, str) or not texts:
        raise ConfigError(f"rewards.contains.args.texts is {texts!r}: set it to a list of texts, such as [one, two].")
    empty = [text for text in texts if not isinstance(text, str) or not text]
    if empty:
        raise ConfigError(f"rewards.contains.args.texts holds {empty[0]!r}: every entry is a text of some length.")


@reward("contains", tasks=("text", "understand"), check=check_contains)
def contains(response: str, texts: Sequence[str], need: str = "any", part: str = "response") -> float:
    """Return 1 when any of some texts, or all of them, occur in the response, else 0.

    Args:
        texts: looked for as they are, in upper and lower case.
        need: `any` or `all`.
        part: look in the whole `response`, or only in its `answer` part.
    """
    text = _part(response, part)
    found = [text is not None and wanted in text for wanted in texts]
    return float(any(found) if need == "any" else all(found))


def check_tags(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless the template has tags."""
    _tags(settings.get("template", THINK))


@reward("tags", tasks=("text", "understand"), check=check_tags)
def tags(response: str, template: str = THINK) -> float:
    """Return the share of the template's tags that occur exactly once: a softer `format`, to learn the shape from.

    The order of the tags and what stands between them is not looked at, so use it beside `format` or drop it later.

    Args:
        template: text with tags, as `format` takes it.
    """
    wanted = _tags(template)
    counts = Counter(_TAG.findall(response))
    return sum(counts[tag] == 1 for tag in wanted) / len(wanted)


def _part(response: str, part: str) -> str | None:
    return answer_part(response) if part == "answer" else response


def _full(compiled: Any, text: str) -> Any:
    return compiled.fullmatch(text.strip(), timeout=SECONDS)


@lru_cache
def _compiled(pattern: Any) -> Any:
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError(f"rewards.regex.args.pattern is {pattern!r}: set it to a regular expression.")
    try:
        return engine.compile(pattern)
    except (engine.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"rewards.regex.args.pattern is no regular expression: {error}: {pattern!r}.") from error


@lru_cache
def _tags(template: Any) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_TAG.findall(template))) if isinstance(template, str) else ()
    if not found:
        raise ConfigError(f"rewards.tags.args.template has no tags: {template!r}. Write it like {THINK!r}.")
    return found


def _check_choices(name: str, settings: dict[str, Any]) -> None:
    for key, allowed in _CHOICES.items():
        if key in settings and settings[key] not in allowed:
            raise ConfigError(f"rewards.{name}.args.{key} is {settings[key]!r}: set it to {' or '.join(allowed)}.")
