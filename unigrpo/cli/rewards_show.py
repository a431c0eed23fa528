"""`unigrpo rewards show NAME`."""

import difflib
import json
from typing import Any

import yaml

from rewards.registry import names
from unigrpo.cli.main import show
from unigrpo.cli.rewards_about import About, Argument
from unigrpo.cli.rewards_tables import render
from unigrpo.cli.rewards_words import configured, take
from unigrpo.config import RewardEntry, tasks_of
from unigrpo.config.tasks import rewards_of
from unigrpo.errors import ConfigError


def run(args: list[str]) -> int:
    """Prints what there is to know about a reward, and lines to paste into a config."""
    options, rest = take(args, {"markdown": bool, "path": str})
    if not rest or "=" in rest[0]:
        raise ConfigError("rewards show needs the NAME of a reward; `unigrpo rewards list` lists them.")
    name, entry = rest[0], _entry(rest[0], rest[1:], options.get("path"))
    about = About.of(name, entry)
    facts = {
        "defined at": about.place,
        "from": about.origin,
        "tasks": ", ".join(about.tasks),
        "called": about.called,
        "time limit": f"{about.timeout:g} s" if about.timeout is not None else "none",
        "on_error": about.on_error,
    }
    lines = [f"{key:10}  {value}" for key, value in facts.items()]
    table = render("Arguments", [_row(argument) for argument in about.arguments()], options.get("markdown", False))
    return show(
        "\n".join([name, "", about.doc or "(no docstring)", "", *lines, "", table, example(about)]).rstrip("\n")
    )


def _entry(name: str, rest: list[str], path: str | None) -> RewardEntry:
    """The entry of a config, or one that has this path alone."""
    if path is not None and rest:
        raise ConfigError(f"path and {rest[0]} are both given: a reward is looked up in one place.")
    if not rest:
        return RewardEntry(path=path)
    config = configured(rest)
    every = [rewards_of(config, task) for task in tasks_of(config).values()]
    found = next((rewards[name] for rewards in every if name in rewards), None)
    if found is not None:
        return found
    if name in names():
        return RewardEntry()
    known = [*names(), *(own for rewards in every for own in rewards)]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"Its rewards are {', '.join(dict.fromkeys(known))}."
    raise ConfigError(f"{name} is no reward of this config. {hint}")


def _row(argument: Argument) -> dict[str, Any]:
    default = "" if argument.required else repr(argument.default)
    return {"name": argument.name, "comes from": argument.source, "type": argument.kind, "default": default}


def example(about: About) -> str:
    """Return lines to paste into a config; what must be filled in stands as `<its type>`."""
    entry: dict[str, Any] = {"weight": 1.0}
    if about.entry.path:
        entry["path"] = about.entry.path
    arguments = about.arguments()
    args = {a.name: _value(about, a) for a in arguments if a.name in about.entry.args or _worth_showing(a)}
    text = yaml.safe_dump({"rewards": {about.name: entry | ({"args": args} if args else {})}}, sort_keys=False)
    columns = [a.name for a in arguments if a.required and a.source.startswith("column")]
    note = f"# The data need the column{'s' * (len(columns) > 1)} {', '.join(columns)}.\n" if columns else ""
    return f"{note}{text}"


def _value(about: About, argument: Argument) -> Any:
    if argument.name in about.entry.args:
        return about.entry.args[argument.name]
    return f"<{argument.kind or 'value'}>" if argument.required else argument.default


def _worth_showing(argument: Argument) -> bool:
    """Whether it is a setting that must be given, or has a default that yaml can hold."""
    if argument.required:
        return argument.source == "setting"
    return argument.source.endswith("setting") and argument.default is not None and _is_plain(argument.default)


def _is_plain(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False
