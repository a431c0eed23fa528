"""What an evaluation leaves behind: every answer, metrics with their intervals, the protocol, a table, a picture."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rewards.extract import answer_part
from unigrpo import gallery, report
from unigrpo.bars import Bar, bars
from unigrpo.benchmarks import keep_drawings
from unigrpo.config import EvalConfig, EvalTaskSection, RewardEntry
from unigrpo.config.files import write_atomically
from unigrpo.config.load import flatten
from unigrpo.config.sections import DRAWING
from unigrpo.config.tasks import ALONE
from unigrpo.logged import earned
from unigrpo.tracking import columns
from unigrpo.types import Scored

MOST_BARS = 60
"""Of a category with more values no bars are drawn."""


def answers(scored: Sequence[Scored]) -> Iterator[dict[str, Any]]:
    """The rows of samples.jsonl."""
    for item in scored:
        prompt = item.rollout.prompt
        yield {
            "id": item.rollout.id,
            "task": prompt.stream or prompt.task,
            "prompt": prompt.text,
            "output": item.rollout.output,
            "extracted": answer_part(item.rollout.output),
            "answer": prompt.answer,
            **earned(item),
            "truncated": item.rollout.truncated,
            **columns(prompt),
        }


def protocol_of(
    config: EvalConfig, tasks: Mapping[str, EvalTaskSection], prompts: int, differs: Mapping[str, Any]
) -> dict[str, Any]:
    """What was done: the suite and what was changed of it, the model, how was asked, sampled and judged."""
    told = {"protocol": config.protocol, "changed": dict(differs)} if config.protocol else {}
    told |= {"model": config.model.path, "prompts": prompts, "samples": config.samples, "seed": config.seed}
    each = {name: _task_protocol(task) for name, task in tasks.items()}
    return told | each.get(ALONE, each)


def _task_protocol(task: EvalTaskSection) -> dict[str, Any]:
    """How a task asks and samples in full, and what else is not as it is by default."""
    default = flatten(EvalTaskSection().data)
    always = ("task",) if task.data.task == "image" else ("task", "template")
    data = {key: value for key, value in flatten(task.data).items() if key in always or value != default.get(key)}
    if task.likelihood:
        return {"data": data, "likelihood": asdict(task.likelihood)}
    sampling = asdict(task.rollout)
    image = sampling.pop("image")
    drawing = {"image": image} if task.data.task in DRAWING else {}
    sampling = drawing if task.data.task == "image" else sampling | drawing
    plain = flatten(RewardEntry())
    rewards = {
        name: {key: value for key, value in flatten(entry).items() if key == "weight" or value != plain.get(key)}
        for name, entry in task.rewards.items()
    }
    return {**sampling, "data": data, "rewards": rewards}


def keep(folder: Path, found: dict[str, Any], scored: Sequence[Scored], tasks: Mapping[str, EvalTaskSection]) -> None:
    """Writes metrics.json, table.md, table.png and the drawings."""
    gallery.keep(folder, 0, scored)
    for name, task in tasks.items():
        if task.drawings:
            own = [item for item in scored if item.rollout.prompt.stream == name]
            keep_drawings(folder / "drawings" / name, task.drawings, own)
    write_atomically(folder / "metrics.json", json.dumps(found, indent=2) + "\n")
    write_atomically(folder / "table.md", table(found))
    _draw(folder, found)


def table(found: Mapping[str, Any]) -> str:
    """The metrics with their intervals, those of each category, and the protocol, as Markdown."""
    metrics = [
        {"metric": key, "value": f"{value:.4f}", **_bounds(found, key)} for key, value in found["metrics"].items()
    ]
    protocol = [{"protocol": key, "is": _words(value)} for key, value in _shown(found["protocol"]).items()]
    categories = [_titled(rows, title) for title, rows in found["categories"].items()]
    return "\n".join(map(report.table, (metrics, *categories, protocol))) + "\n"


def _titled(rows: Sequence[Mapping[str, Any]], title: str) -> list[dict[str, Any]]:
    """The rows of a category with its task in the head, for tasks may have columns of one name."""
    column = title.rpartition("/")[2]
    return [{title if key == column else key: value for key, value in row.items()} for row in rows]


def headline(folder: Path) -> dict[str, Any]:
    """The main metric of an evaluation, as a row of a table over several."""
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    row = {"suite": found["protocol"].get("protocol") or folder.name, "prompts": found["protocol"]["prompts"]}
    changes = ", ".join(found["protocol"].get("changed", {}))
    name = "eval/accuracy"
    if name not in found["metrics"]:
        return row | {"metric": "drawn, not judged", "value": "", "from": "", "to": "", "changed": changes}
    return row | {"metric": name, "value": f"{found['metrics'][name]:.4f}", **_bounds(found, name), "changed": changes}


def _bounds(found: Mapping[str, Any], name: str) -> dict[str, str]:
    low, high = found["intervals"].get(name, (None, None))
    return {"from": "" if low is None else f"{low:.4f}", "to": "" if high is None else f"{high:.4f}"}


def _shown(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol by dotted key, without what is not set and without what only changes the time it takes."""
    return {key: value for key, value in flatten(dict(protocol)).items() if value not in (None, {}, [], "")}


def _words(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _draw(folder: Path, found: Mapping[str, Any]) -> None:
    """Bars of all accuracies, with their intervals."""
    names = [name for name in found["metrics"] if name.rpartition("/")[2] in ("accuracy", "reward")]
    names = [name for name in names if name.endswith("accuracy")] or names
    panels = {"": [Bar(name, found["metrics"][name], *found["intervals"][name]) for name in names]}
    for title, rows in found["categories"].items():
        column = title.rpartition("/")[2]
        if len(rows) <= MOST_BARS and all("accuracy" in row for row in rows):
            panels[title] = [
                Bar(row[column], row["accuracy"], row["accuracy from"], row["accuracy to"]) for row in rows
            ]
    if any(panels.values()):
        bars({title: rows for title, rows in panels.items() if rows}, folder / "table.png")
