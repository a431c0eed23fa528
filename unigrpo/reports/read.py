"""What the folder of a run tells, by the verb that made it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unigrpo import report
from unigrpo.errors import DataError
from unigrpo.reports import drawings, rollouts, tables
from unigrpo.reports.charts import chart, lines_of, picture
from unigrpo.reports.panels import PANELS, Panel, panels_of
from unigrpo.reports.series import Series, ends, matching, number, series, shown
from unigrpo.reports.told import Chart, Concern, Fact, Table, Told
from unigrpo.reports.warn import of_curation, of_evaluation, of_metrics

Rows = list[dict[str, Any]]
ALONE = ("clip/accuracy", "clip/chance", "held_out/codes_used", "rollout/truncated")
"""Metrics whose last value is enough."""
PICTURES = {"before_after.png": "Before and after", "reconstructions.png": "Pictures and what became of them"}


def tell(verb: str, folder: Path) -> Told:
    """What is known of a run that a verb made in a folder, in short; nothing where it was not begun."""
    if not folder.is_dir():
        return Told()
    return READERS.get(verb, _trained if verb in PANELS else _sized)(verb, folder)


def tell_all(verb: str, folder: Path, steps: Sequence[int] = (), alone: bool = True) -> tuple[Told, Series]:
    """What is known of a run with all its charts, tables, rollouts and pictures; and its metrics.

    Args:
        steps: those whose rollouts are shown; by default some, spread over all.
        alone: whether its charts are drawn; those of runs that are compared are drawn together.

    Raises:
        DataError: its metrics are broken.
    """
    rows = _metrics(folder) if verb in PANELS else []
    found = series(rows) if verb in PANELS else _measured(folder)
    told = _told(verb, folder, rows, found, alone) if verb in PANELS else tell(verb, folder)
    pictures, answers = drawings.evaluations(folder), rollouts.read_steps(verb, folder, steps)
    return Told(
        facts=told.facts,
        charts=told.charts,
        more=_more(panels_of(verb, found), found) if alone and verb in PANELS else {},
        tables=[*told.tables, *tables.of_metrics(verb, found), *tables.environment(folder)],
        pictures=[] if pictures else told.pictures,
        grids=drawings.grids(pictures),
        steps=rollouts.told_steps(answers),
        replays=[*rollouts.told_replays(answers), *drawings.replays(pictures)],
        warnings=told.warnings,
    ), found


def _measured(folder: Path) -> Series:
    """The metrics of an evaluation, as of one step."""
    return {key: ([0], [value]) for key, value in _json(folder / "metrics.json").get("metrics", {}).items()}


def _metrics(folder: Path) -> Rows:
    return report.read_metrics(folder) if (folder / "metrics.jsonl").is_file() else []


def _trained(verb: str, folder: Path) -> Told:
    try:
        rows = _metrics(folder)
    except DataError as error:
        return Told(warnings=[Concern(str(error))])
    return _told(verb, folder, rows, series(rows), True)


def _told(verb: str, folder: Path, rows: Rows, found: Series, drawn: bool) -> Told:
    main = [panel for panel in panels_of(verb, found) if not panel.under]
    keys = dict.fromkeys(key for panel in main for key in matching(found, panel.patterns))
    facts = [_change(key, found[key][1]) for key in keys]
    facts += [Fact(key, shown(key, found[key][1][-1])) for key in ALONE if key in found]
    facts += [Fact("steps", str(rows[-1]["step"]))] if rows else []
    pictures = [one for name, title in PICTURES.items() if (one := picture(title, folder / name))]
    charts = [one for panel in main if (one := drawn and draw(panel, found))]
    return Told(facts=facts, charts=charts, pictures=pictures, warnings=of_metrics(verb, rows, found))


def draw(panel: Panel, found: Series) -> Chart | None:
    """The chart of a panel; None where no metric of it has two points."""
    lines = {key: found[key] for key in matching(found, panel.patterns)}
    if not any(len(steps) > 1 for steps, _ in lines.values()):
        return None
    return chart(panel.title, lines_of(lines), panel.unit)


def _more(panels: Sequence[Panel], found: Series) -> dict[str, list[Chart]]:
    headings: dict[str, list[Chart]] = {}
    for panel in panels:
        if panel.under and _varies(panel, found) and (one := draw(panel, found)):
            headings.setdefault(panel.under, []).append(one)
    return headings


def _varies(panel: Panel, found: Series) -> bool:
    """Whether a panel shows anything but zeros."""
    return any(any(found[key][1]) for key in matching(found, panel.patterns))


def _change(key: str, values: Sequence[float]) -> Fact:
    first, last = ends(key, values)
    return Fact(key, shown(key, last), shown(key, first) if len(values) > 1 else None)


def _evaluated(verb: str, folder: Path) -> Told:
    found = _json(folder / "metrics.json")
    metrics, protocol = found.get("metrics", {}), found.get("protocol", {})
    accuracy = sorted(metrics, key=lambda key: ("accuracy" not in key, key.count("/") > 1))
    facts = [Fact(key, shown(key, metrics[key])) for key in accuracy]
    facts += [Fact(key, str(protocol[key])) for key in ("prompts", "samples") if key in protocol]
    return Told(facts=facts, warnings=of_evaluation(metrics))


def _curated(verb: str, folder: Path) -> Told:
    found = _json(folder / "curation.json")
    if not found:
        return Told()
    facts = [Fact("kept, share of the answers", f"{found['keep_rate']:.1%}")]
    names = ("prompts", "wanted", "answers", "right", "kept", "tokens_in", "tokens_out", "cost")
    facts += [Fact(name.replace("_", " "), number(found[name])) for name in names]
    facts += [Fact(f"not kept: {reason}", number(count)) for reason, count in found["rejected"].items()]
    examples = [[reason, said] for reason, said in (found.get("examples") or {}).items()]
    said = [Table("What was said of one answer", ["reason", "the end of an example"], examples)] if examples else []
    return Told(facts=facts, tables=said, warnings=of_curation(found))


def _encoded(verb: str, folder: Path) -> Told:
    index = folder / "index.npy"
    if not index.is_file():
        return Told()
    import numpy as np

    return Told(facts=[Fact("pictures", number(len(np.load(index, mmap_mode="r")))), *_sized(verb, folder).facts])


def _sized(verb: str, folder: Path) -> Told:
    """A model folder: what it is and how large."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    config = _json(folder / "config.json")
    names = ("model_type", "n_layers", "d_model", "vocab_size", "codebook_size")
    facts = [Fact(name.replace("_", " "), str(config[name])) for name in names if config.get(name)]
    return Told(facts=[Fact("size", f"{size / 1e6:,.1f} MB"), *facts])


def _json(file: Path) -> Mapping[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


READERS: dict[str, Callable[[str, Path], Told]] = {
    "eval": _evaluated,
    "curate": _curated,
    "tokenize-images": _encoded,
}
