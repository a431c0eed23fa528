"""What a run says about the model that it made, for the card of an export."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from unigrpo.config import DataSection, SFTConfig, TrainConfig, sets_of, streams_of, tasks_of
from unigrpo.config.bounds import sections
from unigrpo.config.load import load_config
from unigrpo.models.card import Card, known_name, licence_of
from unigrpo.runs import CONFIG, MARK

SCHEMAS: dict[str, type[SFTConfig] | type[TrainConfig]] = {"sft": SFTConfig, "train": TrainConfig}
SHOWN = ("sft/", "eval/", "reward/mean")
"""Beginnings of the metrics that a card has."""
OWN = ("output", "resume", "overwrite", "cluster.", "tracking.", "checkpoint.", "model.path", "model.device")
"""Beginnings of settings that say nothing about the model."""
MOST = 10
"""Runs that a model is followed back through."""


def config_of(run: Path) -> SFTConfig | TrainConfig | None:
    """The settings of a run that made a policy; None where there is no such run."""
    file = run / CONFIG
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as lines:
        first = lines.readline()
    verb = first.removeprefix(MARK).split()[:1] if first.startswith(MARK) else []
    schema = SCHEMAS.get(verb[0]) if verb else None
    return load_config(schema, [str(file)]) if schema else None


def has_adapters(config: SFTConfig | TrainConfig) -> bool:
    """Whether a run trained adapters."""
    return config.model.lora.rank > 0


def about(
    folder: Path, run: Path | None, config: SFTConfig | TrainConfig | None, name: str, licence: str | None
) -> Card:
    """The card of a model.

    Args:
        run: the run that made it, where that is known, and `config` its settings.
        licence: its id, in place of what the base model says.
    """
    lineage, first = ([known_name(folder)], folder) if config is None else _lineage(config)
    stated = {"license": licence} if licence else licence_of(first) if first else {}
    if config is None or run is None:
        return Card(name=name, lineage=lineage, stage="unigrpo export", data=[], licence=stated)
    verb = next(name for name, schema in SCHEMAS.items() if isinstance(config, schema))
    return Card(
        name=name,
        lineage=lineage,
        stage=f"unigrpo {verb}, {config.steps} steps",
        data=list(_data(config)),
        licence=stated,
        settings=_settings(config),
        metrics=_metrics(run),
        adapters=not (folder / "config.json").is_file(),
    )


def _lineage(config: SFTConfig | TrainConfig) -> tuple[list[str], Path | None]:
    """What a run started from, the oldest first, and its folder; None for one that was made from scratch."""
    found: list[str] = []
    for _ in range(MOST):
        if config.model.path is None:
            return [f"a {config.model.preset} model from scratch", *found], None
        folder = Path(config.model.path)
        before = config_of(folder.parent)
        if before is None:
            return [known_name(folder), *found], folder
        found, config = [folder.absolute().parent.name, *found], before
    return found, None


def _data(config: SFTConfig | TrainConfig) -> Iterator[str]:
    """A line for each data set."""
    if isinstance(config, TrainConfig):
        sets = {name: task.data for name, task in tasks_of(config).items()}
    else:
        streams = streams_of(config).items()
        sets = {f"{name} {part}".strip(): one for name, stream in streams for part, one in sets_of(stream).items()}
    for name, one in sets.items():
        yield f"{name}: {_described(one)}".removeprefix(": ")


def _described(one: DataSection) -> str:
    source = one.source if one.path is None else f"`{_public(one.path)}`"
    return f"{source}, task `{one.task}`" + (f", layout `{one.layout}`" if one.layout != "rows" else "")


def _public(value: Any) -> Any:
    """A value without the folders of this machine."""
    if isinstance(value, str):
        return re.sub(r"^(/|~)[^\s{]*/", "", value)
    return [_public(item) for item in value] if isinstance(value, list) else value


def _settings(config: SFTConfig | TrainConfig) -> dict[str, Any]:
    """What differs from the defaults, by dotted key."""
    defaults, found = dict(sections(type(config)())), {}
    for prefix, section in sections(config):
        default = defaults.get(prefix, type(section)())
        for field in fields(section):
            value = getattr(section, field.name)
            holds_sections = is_dataclass(value) or (isinstance(value, dict) and any(map(is_dataclass, value.values())))
            if not holds_sections and value != getattr(default, field.name):
                found[f"{prefix}{field.name}"] = _public(value)
    return {key: value for key, value in found.items() if not key.startswith(OWN)}


def _metrics(run: Path) -> dict[str, float]:
    """The last value of each metric that a card has."""
    found: dict[str, float] = {}
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        found |= {name: value for name, value in json.loads(line).items() if name.startswith(SHOWN)}
    return found
