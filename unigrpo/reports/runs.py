"""The runs that a page is about: their verbs, names, settings and times, from their folders."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from unigrpo.config import ClipConfig, CurateConfig, EvalConfig, SFTConfig, TokenizerConfig, TrainConfig
from unigrpo.config.bounds import sections
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError, DataError
from unigrpo.runs import CONFIG, MARK

SCHEMAS: dict[str, type] = {
    "train": TrainConfig,
    "sft": SFTConfig,
    "eval": EvalConfig,
    "tokenizer": TokenizerConfig,
    "clip": ClipConfig,
    "curate": CurateConfig,
}
RESULTS = {"eval": "metrics.json", "curate": "curation.json"}
"""What a verb that trains nothing writes last."""
PARTS = {"stages.json": "", "trials.json": "trials"}
"""What marks the folder of a pipeline, or of a sweep, by naming its runs, and the folder in it where they are."""
OWN = ("output", "resume", "overwrite")
"""Settings that say nothing of a run."""
Setting = tuple[Any, Any]
"""A value and its default."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run on this disk."""

    name: str
    """Told apart from the others of the page."""
    folder: Path
    verb: str
    settings: dict[str, Setting]
    """By dotted key."""

    @property
    def done(self) -> bool:
        """Whether it came to its end."""
        made = self.folder / RESULTS.get(self.verb, "model")
        return made.exists()


def find_runs(folders: Sequence[str]) -> list[Run]:
    """The runs in some folders, of a pipeline all of its stages, of a sweep all of its trials; each once.

    Raises:
        DataError: a folder holds no run.
    """
    places = list(dict.fromkeys(place for folder in folders for place in _places(Path(folder))))
    return [_run(place, name) for place, name in zip(places, names(places), strict=True)]


def _places(folder: Path) -> Iterator[Path]:
    if verb_of(folder):
        yield folder
        return
    for name, inside in PARTS.items():
        try:
            parts = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = [folder / inside / part for part in parts if verb_of(folder / inside / part)]
        if not found:
            raise DataError(f"{folder} holds no run yet: nothing that {name} names has begun.")
        yield from found
        return
    raise DataError(_no_run(folder))


def verb_of(folder: Path) -> str | None:
    """The verb whose run a folder holds, from the first line of its config."""
    try:
        with (folder / CONFIG).open(encoding="utf-8") as file:
            first = file.readline()
    except (OSError, UnicodeDecodeError):
        return None
    word = first.removeprefix(MARK).split()[:1] if first.startswith(MARK) else []
    return word[0] if word and word[0] in SCHEMAS else None


def _no_run(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} does not exist: name the folder of a run."
    around = next((place for place in (folder.parent, folder.parent.parent) if verb_of(place)), None)
    inside = sorted(str(place.parent) for place in folder.glob(f"*/{CONFIG}") if verb_of(place.parent))
    hint = f" Did you mean {around}?" if around else f" It holds runs: {', '.join(inside[:5])}." if inside else ""
    return f"{folder} is no run: it has no {CONFIG} of {', '.join(SCHEMAS)}, nor {' or '.join(PARTS)}.{hint}"


def names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell folders apart."""
    parts = [place.absolute().parts for place in folders]
    for count in range(1, max(map(len, parts), default=1) + 1):
        found = ["/".join(part[-count:]) for part in parts]
        if len(set(found)) == len(found):
            return found
    return [str(place) for place in folders]


def _run(folder: Path, name: str) -> Run:
    verb = verb_of(folder) or ""
    return Run(name=name, folder=folder, verb=verb, settings=settings_of(SCHEMAS[verb], folder / CONFIG))


def settings_of(schema: type, file: Path) -> dict[str, Setting]:
    """Each setting of a saved config by dotted key with its default; of one that another version wrote, as it stands.

    Raises:
        DataError: the file is broken.
    """
    try:
        config = load_config(schema, [str(file)])
    except ConfigError:
        return {key: (value, None) for key, value in _plain(file).items()}
    defaults, found = dict(sections(schema())), {}
    for prefix, section in sections(config):
        default = defaults.get(prefix, type(section)())
        for field in fields(section):
            value = getattr(section, field.name)
            if not _holds_sections(value):
                found[f"{prefix}{field.name}"] = (value, getattr(default, field.name))
    return {key: value for key, value in found.items() if key not in OWN}


def _holds_sections(value: Any) -> bool:
    return is_dataclass(value) or (isinstance(value, dict) and any(map(is_dataclass, value.values())))


def _plain(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read: {' '.join(str(error).split())}.") from None
    return dict(_flat(found, "")) if isinstance(found, dict) else {}


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif prefix not in OWN:
        yield prefix, value


def shown(value: Any) -> str:
    """A setting as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
