"""What follows `unigrpo rewards ...`: options of its own, then the config whose rewards are meant."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unigrpo.cli.target import expand, verb_of_file
from unigrpo.cli.verbs import VERBS
from unigrpo.config import EvalConfig, TrainConfig
from unigrpo.config.load import load_config
from unigrpo.config.sources import GENERATED
from unigrpo.errors import ConfigError
from unigrpo.runs import CONFIG

WITH_REWARDS = ("train", "eval")
"""The verbs whose configs have rewards."""
_OPTION = re.compile(r"(?:--)?(?P<key>[a-z]+)(?:=(?P<value>.*))?", re.DOTALL)


def take(args: list[str], own: Mapping[str, type]) -> tuple[dict[str, Any], list[str]]:
    """Return the options of this command, and the words that are left.

    Args:
        own: the type of each option: `bool` for a flag, `int`, or `str`. They are written `--key value`, `--key=value`
            or `key=value`.

    Raises:
        ConfigError: an option has no value, or one it cannot have.
    """
    found, rest, words = {}, [], list(args)
    while words:
        word = words.pop(0)
        match = _OPTION.fullmatch(word)
        key, value = (match["key"], match["value"]) if match else ("", None)
        if key not in own or not (word.startswith("--") or "=" in word):
            rest.append(word)
        elif own[key] is bool:
            found[key] = _flag(word, value)
        else:
            if value is None:
                value = words.pop(0) if words and not words[0].startswith("--") else ""
            found[key] = _value(word, value, own[key])
    return found, rest


def _flag(word: str, value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise ConfigError(f"{word}: write true or false, or the option alone.")
    return value != "false"


def _value(word: str, text: str, kind: type) -> Any:
    name = word.partition("=")[0]
    if not text:
        raise ConfigError(f"{name} has no value: write {name}=VALUE.")
    if kind is int and not (text.isdecimal() and int(text)):
        raise ConfigError(f"{name} is {text!r}: set it to a whole number above 0.")
    return kind(text)


def configured(args: list[str], with_data: bool = False) -> TrainConfig | EvalConfig:
    """Return the checked config that words describe: `[train|eval] [RUN | FILE.yaml ...] [key=value ...]`.

    Without a verb, it is the one in the first line of the first file, or else `train`. It need not name a model.

    Args:
        with_data: whether it must name its data.
    """
    if args and args[0] in WITH_REWARDS:
        verb, args = args[0], args[1:]
    else:
        args = [str(Path(word) / CONFIG) if (Path(word) / CONFIG).is_file() else word for word in args]
        verb = next((found for word in args if (found := verb_of_file(word, WITH_REWARDS))), "train")
    words = expand(args, "eval") if verb == "eval" else args
    config = load_config(VERBS[verb].config_type(), words)
    # What rewards do not need, and may not be there yet.
    stand_in = ["model.path=model"] if config.model.path is None and config.model.preset is None else []
    if not with_data and not config.tasks and config.data.source not in GENERATED and config.data.path is None:
        stand_in.append("data.path=data.jsonl")
    return VERBS[verb].checked([*words, *stand_in])
