"""Secrets are named, never written: a config is saved with its run, sent to trackers and printed.

A setting of a reward that ends with `_env` names an environment variable: with `api_key_env: OPENAI_API_KEY` the reward
gets an `api_key`, read where it is built. A name and no `$OPENAI_API_KEY`, for a shell would put the key in its place
before we see it, and any text may begin with `$`.
"""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from unigrpo.errors import ConfigError

SUFFIX = "_env"
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""Capitals only, so that a key given where its name belongs is not taken for one."""
ALWAYS = "password passwd passphrase secret secrets credential credentials apikey authorization"
KEYS = (
    "api access secret private auth signing encryption ssh service subscription account judge openai anthropic google "
    "azure hf wandb"
)
"""What makes a secret of a `..._key`."""
OF_TEXT = (
    "mask eos bos pad unk cls sep stop start end begin special image think answer first last next new max min num text "
    "prompt response word sub"
)
"""What makes the `..._token` one of a vocabulary, and no secret."""
KNOWN = re.compile(
    r"\b(sk-[\w-]{16,}|hf_\w{20,}|gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abps]-[\w-]{10,})"
    r"|\bAIza[\w-]{30,}|(?i:^bearer\s+\S{8,})|://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""Keys of well-known services, tokens in headers, passwords in addresses."""
REWARD_ARGUMENT = re.compile(r"(.*\.)?rewards\.[^.]+\.args\.[^.]+")


def written_secrets(config: Any) -> Iterator[str]:
    """One message for each setting that holds a secret; the secret itself is not in it."""
    for key, value in _texts(config, ""):
        name = key.rpartition(".")[2]
        named = name.endswith(SUFFIX)
        inside = REWARD_ARGUMENT.fullmatch(key)
        if named and inside and _is_secret(name.removesuffix(SUFFIX)) and not VARIABLE.fullmatch(value):
            yield f"{key} is no name of an environment variable: write one in capitals, never what it holds."
        elif KNOWN.search(value) or (_is_secret(name) and not named):
            put = f"put it in an environment variable, and set {key}{SUFFIX} to the variable's name."
            advice = put if inside and not named else "let what needs it read an environment variable."
            yield f"{key} looks like a secret, which would be saved with the run and shown: {advice}"


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in a config that is not empty, with its dotted key, those in settings of any shape included."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}" if key else f"{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str) and value:
        yield key, value


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    before, last = words[-2:-1], words[-1:]
    if last in (["key"], ["keys"]):
        return bool(set(KEYS.split()).intersection(before))
    if last == ["token"]:
        return not set(OF_TEXT.split()).intersection(before)
    return bool(set(ALWAYS.split()).intersection(last))


def meant(key: str, own: Collection[str]) -> str:
    """The argument that a setting sets: `api_key` for `api_key_env`, unless the latter is one of the reward's own."""
    return key.removesuffix(SUFFIX) if key.endswith(SUFFIX) and key not in own else key


def filled(name: str, args: dict[str, Any], own: Collection[str]) -> dict[str, Any]:
    """The settings of a reward with what the named environment variables hold in their place.

    Args:
        name: the reward.
        own: the arguments of the reward.

    Raises:
        ConfigError: a variable is not set, or a setting is given in both ways.
    """
    found: dict[str, Any] = {}
    for key, value in args.items():
        target = meant(key, own)
        if target in found or (target != key and target in args):
            raise ConfigError(f"rewards.{name}.args has both {target} and {target}{SUFFIX}: drop one.")
        found[target] = value if target == key else _read(f"rewards.{name}.args.{key}", value)
    return found


def _read(key: str, variable: Any) -> str:
    if not isinstance(variable, str) or not variable.isidentifier():
        raise ConfigError(f"{key} is no name of an environment variable: write one.")
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(
            f"{key} names the environment variable {variable}, which is not set where the reward is built: export it "
            f"there; for a job, give it to the head, or submit with --env {variable}."
        )
    return value
