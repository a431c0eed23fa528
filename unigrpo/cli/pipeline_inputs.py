"""What a stage is made from and what it made, so that one sees whether any of it has changed."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from unigrpo.cli.pipeline_stages import Stage
from unigrpo.config import DataSection, SFTConfig, streams_of
from unigrpo.config.bounds import sections
from unigrpo.config.files import find_config
from unigrpo.config.paths import placed
from unigrpo.config.sources import is_pattern, is_remote
from unigrpo.data.shards.paths import expand
from unigrpo.errors import ConfigError, DataError

READ = 256_000_000
"""Bytes of a setting's files up to which they are told by what they hold, and above by size and time of change."""
MANY = 10_000
"""Files of a folder above which their names alone are looked at."""
WRITTEN = ".cache"
"""The end of the key of what a reward both reads and writes."""


def settings_of(config: Any, output: Path) -> dict[str, tuple[Any, Any]]:
    """Each setting by dotted key, with its default; folders of the pipeline without that of its output."""
    defaults, found = dict(sections(type(config)())), {}
    for prefix, section in sections(config):
        default = defaults.get(prefix, type(section)())
        for field in fields(section):
            value = getattr(section, field.name)
            if not _holds_sections(value):
                found[f"{prefix}{field.name}"] = (_movable(value, f"{output}{os.sep}"), getattr(default, field.name))
    return found


def _holds_sections(value: Any) -> bool:
    return is_dataclass(value) or (isinstance(value, dict) and any(map(is_dataclass, value.values())))


def _movable(value: Any, output: str) -> Any:
    if isinstance(value, str):
        return value.removeprefix(output)
    if isinstance(value, dict):
        return {str(key): _movable(item, output) for key, item in value.items()}
    return [_movable(item, output) for item in value] if isinstance(value, list | tuple) else value


def inputs_of(stage: Stage) -> dict[str, str]:
    """The paths on this disk that a stage reads, by setting; those of data that others stand in for are left out."""
    found: dict[str, str] = {}

    def look(key: str, path: str) -> str:
        if not is_remote(path) and not key.endswith(WRITTEN):
            found[key] = path
        return path

    placed(used(stage.config), look)
    return found


def used(config: Any) -> Any:
    """The config with the data that streams are read from, and no other."""
    if not isinstance(config, SFTConfig) or not config.streams:
        return config
    streams = {name: replace(one, data=DataSection()) if one.mix else one for name, one in streams_of(config).items()}
    return replace(config, streams=streams, stand_ins={})


def state_of(path: str) -> str | None:
    """What tells that a path leads to the same as before; None where it leads to nothing."""
    files = _files(path)
    return None if files is None else _state(files)


def _files(path: str) -> list[Path] | None:
    """The files that a path stands for, or the folder that holds too many; None where there is none."""
    if is_pattern(path):
        try:
            files = [Path(file) for file in expand(path)]
        except DataError:
            return None
        return files if all(file.exists() for file in files) else None
    place = Path(path)
    if not place.exists():
        try:
            place = find_config(path)  # as the verbs do, of which some read one that is shipped
        except ConfigError:
            return None
    return sorted(_below(place)) if place.is_dir() else [place]


def _below(folder: Path) -> Iterator[Path]:
    return (Path(around) / name for around, _, names in os.walk(folder, followlinks=False) for name in names)


def _state(files: list[Path]) -> str:
    digest = hashlib.sha256()
    if len(files) > MANY:
        found: Iterable[Any] = map(str, files)
    else:
        stats = [(file, file.stat()) for file in files if file.is_file()]
        small = sum(stat.st_size for _, stat in stats) <= READ
        found = ((file.name, _held(file, s) if small else (s.st_size, s.st_mtime_ns)) for file, s in stats)
    for one in found:
        digest.update(repr(one).encode())
    return digest.hexdigest()[:32]


def _held(file: Path, stat: os.stat_result) -> str:
    return _content(file, stat.st_size, stat.st_ctime_ns)


@cache
def _content(file: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file, read once for all stages that name it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def made_of(result: Path) -> tuple[dict[str, int], str]:
    """The size of each file of a result by its name in it, and what tells their contents from others'."""
    files = sorted(_below(result)) if result.is_dir() else [result]
    names = {file.relative_to(result).as_posix() if result.is_dir() else "": file for file in files}
    digest = hashlib.sha256(repr([(name, _held(file, file.stat())) for name, file in names.items()]).encode())
    return {name: file.stat().st_size for name, file in names.items()}, digest.hexdigest()[:32]


def gone(result: Path, sizes: dict[str, int]) -> str | None:
    """What of a result is not there any more, or not as it was made."""
    for name, size in sizes.items():
        file = result / name if name else result
        if not file.is_file():
            return f"{file if result.exists() else result} is gone"
        if file.stat().st_size != size:
            return f"{file} has another size"
    return None
