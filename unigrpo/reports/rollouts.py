"""Rollouts to read: the best, the median and the worst of some steps, and groups side by side."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unigrpo.reports.replays import of_text
from unigrpo.reports.series import number
from unigrpo.reports.told import Card, Group, Replay, Step
from unigrpo.reports.words import compared

FILES = {"train": "rollouts.jsonl", "eval": "samples.jsonl"}
STEPS, GROUPS, CARDS = 8, 24, 16
"""Steps of a run, groups of a step and rollouts of a group that a page shows at most."""
EACH = 3
"""Of an evaluation, the best, median and worst ones of each task."""
REPLAYED = 8
"""Responses of a run that are replayed."""
LONGEST = 20_000
"""Characters of a response above which it is cut."""
STEP = re.compile(r'^\{"step": (-?\d+),')
Row = dict[str, Any]


def read_steps(verb: str, folder: Path, wanted: Sequence[int] = ()) -> list[tuple[str, list[Row]]]:
    """The rows of a run's rollouts for some steps, the last step first; those of an evaluation are one step.

    Args:
        wanted: the steps; by default some, spread over all.
    """
    file = folder / FILES.get(verb, "")
    if not file.is_file():
        return []
    if verb == "eval":
        rows = [row for line in _lines(file) if (row := _row(line))]
        return [("all prompts", _extremes(rows))] if rows else []
    steps = [step for line in _lines(file) if (step := _step(line)) is not None]
    kept = set(_spread(list(dict.fromkeys(steps)), wanted))
    rows = [row for line in _lines(file) if _step(line) in kept and (row := _row(line))]
    return [(f"step {step}", [row for row in rows if row["step"] == step]) for step in sorted(kept, reverse=True)]


def _step(line: str) -> int | None:
    """The step of a row, without reading the rest of it."""
    found = STEP.match(line)
    return int(found[1]) if found else None


def _lines(file: Path) -> Iterator[str]:
    """Complete lines: the last one of a run that goes on may be half written."""
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from (line for line in lines if line.endswith("\n"))


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("output"), str) else None


def _spread(steps: list[int], wanted: Sequence[int]) -> list[int]:
    if wanted:
        return [step for step in steps if step in wanted]
    count = min(STEPS, len(steps))
    return [steps[at * (len(steps) - 1) // max(1, count - 1)] for at in range(count)]


def _extremes(rows: list[Row]) -> list[Row]:
    """Of each task the worst, the middle and the best ones, called so."""
    found = []
    for task in dict.fromkeys(_task(row) for row in rows):
        known = sorted((row for row in rows if _task(row) == task and row.get("reward") is not None), key=_reward)
        middle = max(0, (len(known) - EACH) // 2)
        places = dict.fromkeys(range(middle, middle + EACH), "median") | dict.fromkeys(range(EACH), "worst")
        places |= dict.fromkeys(range(len(known) - EACH, len(known)), "best")
        found += [known[at] | {"chosen": places[at]} for at in sorted(places) if 0 <= at < len(known)]
        failed = [row for row in rows if _task(row) == task and row.get("reward") is None]
        found += [row | {"chosen": "no reward"} for row in failed[:EACH]]
    return found


def _reward(row: Mapping[str, Any]) -> float:
    return row["reward"]


def _task(row: Mapping[str, Any]) -> str:
    return str(row.get("task") or "")


def told_steps(steps: Sequence[tuple[str, list[Row]]]) -> list[Step]:
    """What a page shows of the rows of each step."""
    return [Step(title, _groups(rows)) for title, rows in steps]


def _groups(rows: list[Row]) -> list[Group]:
    """Rows of the same prompt together; those with several rollouts first, then by reward."""
    groups: dict[str, list[Row]] = {}
    places = _places(rows)
    for row in rows:
        groups.setdefault(str(row.get("id", len(groups))).rpartition("/")[0], []).append(row)
    made = []
    for own in groups.values():
        own = sorted(own, key=lambda row: -(row.get("reward") or 0.0))[:CARDS]
        cards = [_card(row, places.get(id(row), "")) for row in own]
        made.append((len(own), own[0].get("reward") or 0.0, Group(str(own[0].get("prompt", "")), _task(own[0]), cards)))
    return [group for _, _, group in sorted(made, key=lambda one: (-one[0], -one[1]))[:GROUPS]]


def _places(rows: list[Row]) -> dict[int, str]:
    """What each row is there for; of a run that did not write it down, as far as its rows tell."""
    marked = {id(row): row["chosen"] for row in rows if row.get("chosen") not in (None, "group")}
    if marked or any(row.get("chosen") for row in rows):
        return marked
    for task in dict.fromkeys(map(_task, rows)):
        known = sorted((row for row in rows if _task(row) == task and row.get("reward") is not None), key=_reward)
        if known and known[0]["reward"] < known[-1]["reward"]:
            marked |= {id(known[len(known) // 2]): "median of those kept"}
            marked |= {id(known[0]): "worst of those kept", id(known[-1]): "best of those kept"}
    return marked


def _card(row: Row, place: str) -> Card:
    text, answer = row["output"], row.get("answer")
    cut = f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}" if len(text) > LONGEST else text
    output, gold = compared(cut, None if answer is None else str(answer))
    return Card(
        place=place,
        reward="not known" if row.get("reward") is None else number(row["reward"]),
        index=str(row.get("id", "")).rpartition("/")[2],
        output=output,
        gold=gold,
        parts={key: "failed" if value is None else number(value) for key, value in (row.get("parts") or {}).items()},
        notes=row.get("notes") or {},
        faults=row.get("faults") or {},
    )


def told_replays(steps: Sequence[tuple[str, list[Row]]]) -> list[Replay]:
    """Some of the responses whose denoising was written down, the last steps first."""
    rows = [(title, row) for title, rows in steps for row in rows if isinstance(row.get("replay"), dict)]
    made = (of_text(f"{title}, {row.get('chosen', '')}", row) for title, row in rows)
    return [replay for replay in made if replay][:REPLAYED]
