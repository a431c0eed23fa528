"""`unigrpo eval ... --suite NAME[,NAME...]`: frozen protocols, each a yaml file of the evaluation's own settings."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unigrpo.cli.target import expand, image_tokenizer_of
from unigrpo.cli.verbs import VERBS
from unigrpo.config import DataSection, EvalConfig, RewardEntry
from unigrpo.config.files import shipped_configs
from unigrpo.config.load import diff, flatten, load_config
from unigrpo.config.sources import is_pattern, is_remote
from unigrpo.config.tasks import eval_tasks_of
from unigrpo.errors import ConfigError, DataError

FOLDER = "suites"
OPTION, ROOT = "--suite", "data_root"
WITHOUT_IMAGES = ("model.image_tokenizer", "model.legacy_visible_pads")
FREE = ("output", "overwrite", "protocol", "get", "max_failed", "model.", "cluster.")
OWN = (".path", ".image_root", ".batch_size", ".codes")
"""Keys that may differ from a shipped suite without changing what is measured, by their beginnings and their ends."""


def take_suites(args: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
    """Returns the yaml files of the suites that arguments name, the folder of their data, and the other arguments.

    Raises:
        ConfigError: a suite is not known, none is named, or a folder is named without one.
    """
    named: list[str] = []
    root: str | None = None
    rest: list[str] = []
    words = list(args)
    while words:
        word, equals, value = words.pop(0).partition("=")
        if word == OPTION:
            named += _names(value or (words.pop(0) if words and "=" not in words[0] else ""))
        elif word.lstrip("-").replace("-", "_") == ROOT:
            root = value or (words.pop(0) if words else "")
        else:
            rest.append(f"{word}{equals}{value}")
    if root is not None and not named:
        raise ConfigError(f"{ROOT} is {root!r}, but it is where {OPTION} NAME finds its data: set data.path instead.")
    return [_file(name) for name in named], root, rest


def shipped() -> list[str]:
    """The names of the suites that come with unigrpo."""
    return sorted(path.stem for path in (shipped_configs() / FOLDER).glob("*.yaml"))


def configs_of(files: Sequence[str], root: str | None, rest: Sequence[str]) -> list[EvalConfig]:
    """The checked config of each suite, or the only one where none is named; several get a folder of output each.

    Raises:
        ConfigError: a setting cannot be used.
        DataError: a file that a protocol reads is not there; the message says where it is to be had.
    """
    if not files:
        return [VERBS["eval"].checked(expand(list(rest), "eval"))]
    stems = [Path(file).stem for file in files]
    own = [_own(rest, stem, stems) for stem in stems]
    configs = [VERBS["eval"].checked(_with_suite(file, root, words)) for file, words in zip(files, own, strict=True)]
    for config in configs:
        for name, task in eval_tasks_of(config).items():
            _check_there(task.data, f"tasks.{name}.data" if name else "data", config)
    if len(configs) == 1:
        return configs
    outputs = [str(Path(config.output) / name_of(config, file)) for config, file in zip(configs, files, strict=True)]
    twice = next((output for output in outputs if outputs.count(output) > 1), None)
    if twice:
        raise ConfigError(f"{OPTION} names several that would be in {twice}: give each a `protocol` of its own.")
    return [replace(config, output=output) for config, output in zip(configs, outputs, strict=True)]


def name_of(config: EvalConfig, file: str) -> str:
    """The name of a suite."""
    return config.protocol or Path(file).stem


def changed(file: str, config: EvalConfig) -> dict[str, Any]:
    """What was set beside a suite that changes what it measures."""
    found = diff(load_config(EvalConfig, [file]), config)
    plain = {f".{key}": value for key, value in flatten(RewardEntry()).items() if key != "weight"}
    return {
        key: new
        for key, (old, new) in found.items()
        if not key.startswith(FREE)
        and not (key.endswith(OWN) and "rewards." not in key)
        and not _added_by_default(key, old, new, plain)
    }


def _added_by_default(key: str, old: Any, new: Any, plain: dict[str, Any]) -> bool:
    """Whether a setting came with a reward that was added, and is what it always is."""
    return old is None and "rewards." in key and any(key.endswith(end) and new == value for end, value in plain.items())


def _check_there(data: DataSection, key: str, config: EvalConfig) -> None:
    for name, path in _paths(data).items():
        if not path or data.source == "hub" or is_pattern(path) or Path(path).exists():
            continue
        get = f" {config.get.strip().rstrip('.')}." if config.get else ""
        suite = f"which the suite {config.protocol} reads" if config.protocol else "which the suite reads"
        raise DataError(f"{path} does not exist, {suite}.{get} Set {key}.{name}=FILE, or {ROOT}=FOLDER.")


def _rooted(data: DataSection, key: str, root: str | None) -> list[str]:
    """The settings that take the relative paths of a section from a folder."""
    if root is None:
        return []
    paths = _paths(data) | {"image_root": data.image_root}
    found = {name: path for name, path in paths.items() if path and not is_remote(path)}
    return [f"{key}.{name}={json.dumps(str(Path(root) / path))}" for name, path in found.items()]


def _paths(data: DataSection) -> dict[str, str | None]:
    """The files that a section reads, by their settings."""
    shots, join = data.shots and data.shots.path, data.join and data.join.path
    return {"path": data.path, "shots.path": shots, "join.path": join}


def _names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise ConfigError(f"{OPTION} names none: there are {', '.join(shipped())}, or name a yaml file.")
    return found


def _file(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        return name
    known = shipped()
    if name in known:
        return str(shipped_configs() / FOLDER / f"{name}.yaml")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean: {close[0]}? " if close else ""
    raise ConfigError(f"{OPTION} {name} is not there. {hint}There are {', '.join(known)}, or name a yaml file.")


def _own(rest: Sequence[str], suite: str, suites: Sequence[str]) -> list[str]:
    """The settings of one suite: those of all, and, as `SUITE.KEY=VALUE`, its own; never those of another."""
    found = []
    for word in rest:
        key, equals, _ = word.lstrip("-").partition("=")
        name, dot, _ = key.partition(".")
        if not dot or name not in suites or word.endswith((".yaml", ".yml")):
            found.append(word)
        elif not equals:
            raise ConfigError(f"{word} is of one suite: write it as {key}=VALUE.")
        elif name == suite:
            found.append(word.lstrip("-").removeprefix(f"{name}."))
    return found


def _with_suite(file: str, root: str | None, rest: list[str]) -> list[str]:
    """The arguments with a suite's file before all settings; what only images need goes where there are none."""
    folder = rest[0] if rest and Path(rest[0]).is_dir() else None
    suite = load_config(EvalConfig, [file])
    tasks = {f"tasks.{name}.data" if name else "data": task.data for name, task in eval_tasks_of(suite).items()}
    looks = any(data.task != "text" for data in tasks.values())
    if not looks:
        rest = [word for word in rest if not word.lstrip("-").startswith(WITHOUT_IMAGES)]
    found = [word for key, data in tasks.items() for word in _rooted(data, key, root)]
    implied = image_tokenizer_of(folder) if folder and looks else None
    found += [f"model.image_tokenizer={json.dumps(asdict(implied))}"] if implied else []
    words = expand([*rest[:1], file, *rest[1:]] if folder else [file, *rest], "eval")
    return [*found, *words]
