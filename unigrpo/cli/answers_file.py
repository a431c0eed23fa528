"""The file that answers are written to: whole answers only, all of one kind of asking."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unigrpo.config import GenerateConfig
from unigrpo.config.files import write_atomically
from unigrpo.config.load import diff, load_config, to_yaml
from unigrpo.errors import ConfigError

FREE = ("file", "columns", "output", "overwrite", "cluster.", "model.device", "rollout.batch_size")
"""Beginnings of the settings that may change while a file of answers grows, because no answer depends on them."""
HEAD = b"# unigrpo generate "
"""What the file of the settings begins with."""


@dataclass(frozen=True)
class AnswersFile:
    """A file of answers, and the ids of the prompts that have all of theirs."""

    path: Path
    folder: Path
    """Where the pictures are."""
    done: frozenset[str]
    taken: frozenset[int]
    """The numbers that pictures of these are called by."""

    @classmethod
    def open(cls, config: GenerateConfig, asked: Mapping[str, Mapping[str, Any]]) -> "AnswersFile":
        """Begins a file, or opens one to go on with; what is not whole in it is dropped.

        Args:
            asked: what is asked, by the id of the prompt; answers to anything else under its id are dropped too.

        Raises:
            ConfigError: the file was not written by this verb, or with other settings, or cannot be written.
        """
        assert config.output is not None
        path = Path(config.output)
        folder = Path(config.picture) if config.picture else _folder(path)
        _check_ours(path)
        found = [] if config.overwrite or not path.exists() else _read(path, config)
        kept = [line for line in found if line["id"] not in asked or _answers(line, asked[line["id"]])]
        counts = Counter(line["id"] for line in kept)
        whole = [line for line in kept if counts[line["id"]] == config.samples]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(_settings(path), _head(path) + to_yaml(replace(config, overwrite=False)))
            write_atomically(path, "".join(map(_written, whole)))
        except OSError as error:
            raise ConfigError(f"output={config.output} cannot be written ({error.strerror}): name another.") from None
        taken = frozenset(_number(line["picture"]) for line in whole if "picture" in line)
        return cls(path, folder, frozenset(line["id"] for line in whole), taken)

    def picture(self, number: int, sample: int) -> str:
        """The path of a picture from the folder of the file, by the number of its prompt, and its own among answers.

        In a folder that other answers may share it is called after the file, too.
        """
        owner = "" if self.folder == _folder(self.path) else f"{self.path.stem}-"
        return f"{os.path.relpath(self.folder, self.path.parent)}/{owner}{number:06d}-{sample}.png"

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Appends answers."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(map(_written, lines))
            file.flush()
            os.fsync(file.fileno())


def _folder(path: Path) -> Path:
    """Where pictures are that are told no other place."""
    return path.with_suffix("")


def _number(picture: str) -> int:
    """The number that a picture is called by."""
    return int(Path(picture).stem.split("-")[-2])


def _answers(line: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a line answers what is asked: the same text, about the same picture, under the same mask."""
    there = {"prompt": line["prompt"], "about": line.get("about"), "mask": line.get("columns", {}).get("mask")}
    return all(there[key] == value for key, value in asked.items())


def _written(line: Mapping[str, Any]) -> str:
    return json.dumps(line) + "\n"  # in ASCII: some characters of a text would end a line


def _settings(path: Path) -> Path:
    """The file beside the answers that says how they were asked for."""
    return path.with_suffix(".yaml")


def _head(path: Path) -> str:
    return f"{HEAD.decode()}{_settings(path)} output=ANOTHER.jsonl\n"


def _check_ours(path: Path) -> None:
    """Makes sure that nothing is replaced, here or beside it, that was not written by this verb.

    Raises:
        ConfigError: something would be.
    """
    settings = _settings(path)
    if settings.exists():
        if not settings.is_file() or not settings.read_bytes().startswith(HEAD):
            raise ConfigError(f"output is {path}, but its settings would replace {settings}: name another file.")
    elif path.exists():
        raise ConfigError(f"output is {path}, which is there and holds no answers of ours: name another file.")


def _read(path: Path, config: GenerateConfig) -> list[dict[str, Any]]:
    """The lines that are there; the last may have been cut.

    Raises:
        ConfigError: other settings made them.
    """
    changed = diff(load_config(GenerateConfig, [str(_settings(path))]), config)
    changed = {key: pair for key, pair in changed.items() if not f"{key}.".startswith(FREE)}
    if changed:
        words = ", ".join(f"{key} was {old} and is {new}" for key, (old, new) in changed.items())
        raise ConfigError(f"{path} holds answers to other settings: {words}. Name another output=, or overwrite=true.")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
