"""The pictures that a run's evaluations kept: the same prompts at several steps, and how some came about."""

import json
import math
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from unigrpo.reports.charts import address
from unigrpo.reports.replays import of_drawing
from unigrpo.reports.series import number
from unigrpo.reports.told import Drawing, Grid, Replay

FOLDER, INDEX = "pictures", "index.json"
STEPS, PROMPTS, REPLAYED = 6, 8, 4
"""Evaluations and prompts of a grid, and replays of each task, that a page shows at most."""
SMALL, LARGE = 160, 320
"""Pixels of the side of a picture in a grid and in a replay, above which it is made smaller."""
QUALITY = 85
Row = Mapping[str, Any]


def evaluations(folder: Path) -> list[tuple[Path, list[Row]]]:
    """The folders of pictures of some evaluations, spread over all, each with its index."""
    files = sorted((folder / FOLDER).glob(f"step-[0-9]*/{INDEX}"))
    count = min(STEPS, len(files))
    chosen = [files[at * (len(files) - 1) // max(1, count - 1)] for at in range(count)]
    return [(file.parent, rows) for file in chosen if (rows := _rows(file))]


def _rows(index: Path) -> list[Row]:
    try:
        found = json.loads(index.read_text(encoding="utf-8"))
    except ValueError:
        return []
    return [row for row in found if isinstance(row, dict) and "file" in row] if isinstance(found, list) else []


def grids(found: list[tuple[Path, list[Row]]]) -> list[Grid]:
    """A grid for each task: a row for each evaluation, a column for each prompt."""
    tasks = dict.fromkeys(_task(row) for _, rows in found for row in rows)
    return [
        _grid(task, [(folder, [row for row in rows if _task(row) == task]) for folder, rows in found]) for task in tasks
    ]


def _grid(task: str, found: list[tuple[Path, list[Row]]]) -> Grid:
    prompts = list(dict.fromkeys(str(row.get("prompt", "")) for _, rows in found for row in rows))[:PROMPTS]
    return Grid(task, prompts, [(_step(folder), _across(folder, rows, prompts)) for folder, rows in found])


def _task(row: Row) -> str:
    return str(row.get("task", ""))


def _across(folder: Path, rows: list[Row], prompts: list[str]) -> list[Drawing | None]:
    """The first drawing of each prompt."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(str(row.get("prompt", "")), row)
    return [_drawing(folder, first[prompt]) if prompt in first else None for prompt in prompts]


def _drawing(folder: Path, row: Row) -> Drawing | None:
    image = thumbnail(_file(folder, row), SMALL)
    if image is None:
        return None
    parts = row.get("parts") or {}
    scores = ", ".join(f"{name} {number(value)}" for name, value in parts.items() if _known(value))
    reward = number(row["reward"]) if _known(row.get("reward")) else "no reward"
    return Drawing(image, str(row.get("thought") or ""), reward, scores)


def _file(folder: Path, row: Row) -> Path:
    return folder / Path(str(row["file"])).name


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def replays(found: list[tuple[Path, list[Row]]]) -> list[Replay]:
    """How some drawings of the last evaluation came about."""
    made, counts = [], {}
    for row in found[-1][1] if found else []:
        task = row.get("task")
        image = thumbnail(_file(found[-1][0], row), LARGE) if counts.get(task, 0) < REPLAYED else None
        if image and (replay := of_drawing(_step(found[-1][0]), row, image)):
            counts[task] = counts.get(task, 0) + 1
            made.append(replay)
    return made


def _step(folder: Path) -> str:
    return f"step {int(folder.name.removeprefix('step-'))}"


def thumbnail(file: Path, side: int) -> str | None:
    """A picture of at most this side as an address: as it is if it is small, and otherwise a smaller JPEG."""
    try:
        with Image.open(file) as image:
            if max(image.size) <= side:
                return address("png", file.read_bytes())
            image.thumbnail((side, side))
            content = BytesIO()
            image.convert("RGB").save(content, "JPEG", quality=QUALITY)
    except (OSError, UnidentifiedImageError):
        return None
    return address("jpeg", content.getvalue())
