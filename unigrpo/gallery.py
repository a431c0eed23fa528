"""The pictures of a run: what was drawn at each evaluation, and the same prompts before and after."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unigrpo.config.files import write_atomically
from unigrpo.logged import drawn_steps, earned
from unigrpo.pictures import grid
from unigrpo.types import Scored

FOLDER, INDEX = "pictures", "index.json"
MOST = 12
"""Pictures of each task that are kept of an evaluation: the same prompts every time."""


def keep(run: Path, step: int, scored: Sequence[Scored], most: int = MOST) -> None:
    """Writes some drawings as PNG files to `pictures/step-N`, with their prompts, thoughts, rewards, and how they
    came about: the step at which each code was committed."""
    folder, counts, rows = run / FOLDER / f"step-{step:06d}", {}, []
    for item in scored:
        prompt, image = item.rollout.prompt, item.rollout.image
        number = counts.get(prompt.stream, 0)
        if image is None or number >= most:
            continue
        counts[prompt.stream] = number + 1
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{prompt.stream or prompt.task}-{number}.png"
        Image.fromarray(image).save(folder / name)
        words = {"prompt": prompt.text, "thought": item.rollout.output, **earned(item)}
        commit = " ".join(map(str, drawn_steps(item.rollout)))
        rows.append({"file": name, "task": prompt.stream or prompt.task, **words, "commit": commit})
    if rows:
        write_atomically(folder / INDEX, json.dumps(rows, indent=1) + "\n")


def before_after(run: Path, out: Path) -> bool:
    """Draws the first evaluation over the last, picture by picture; False when the run has no pictures."""
    steps = sorted((run / FOLDER).glob(f"step-*/{INDEX}"))
    if len(steps) < 2:
        return False
    first, last = _rows(steps[0]), _rows(steps[-1])
    tasks = list(dict.fromkeys(row["task"] for row in first))
    pictures: list[list[np.ndarray]] = []
    captions: list[list[str]] = []
    titles: list[str] = []
    for task in tasks:
        for when, rows in (("before", first), ("after", last)):
            own = [row for row in rows if row["task"] == task][:MOST]
            pictures.append([row["image"] for row in own])
            captions.append([_caption(row) for row in own])
            titles.append(f"{task} {when}")
    grid(pictures, out, row_titles=titles, captions=captions)
    return True


def _rows(index: Path) -> list[dict[str, Any]]:
    rows = json.loads(index.read_text(encoding="utf-8"))
    return [row | {"image": np.asarray(Image.open(index.parent / row["file"]))} for row in rows]


def _caption(row: dict[str, Any]) -> str:
    thought = f"\n{row['thought']}" if row["thought"] else ""
    reward = "no reward" if row["reward"] is None else f"{row['reward']:.2f}"
    return f"{row['prompt']}{thought}\n{reward}"
