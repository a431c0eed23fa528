"""Drawings in the folders that the official scorers of GenEval and WISE read.

Source: GenEval (arXiv:2310.11513): `00000/metadata.jsonl` and `00000/samples/0000.png`, the number being that of the
prompt; WISE (arXiv:2503.07265): `1.png`, the number being the prompt's own.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from unigrpo.errors import DataError
from unigrpo.types import Prompt, Scored

Layout = Literal["geneval", "wise"]


def check_drawn(layout: Layout, prompts: Sequence[Prompt]) -> None:
    """Raise `DataError` unless the drawings of each prompt of one task would have names of their own."""
    owners: dict[str, str] = {}
    for prompt in prompts if layout == "wise" else ():
        number = _number(prompt)
        if number in owners:
            raise DataError(
                f"{prompt.id}: `prompt_id` is {number}, as that of {owners[number]}, by which WISE calls drawings."
            )
        owners[number] = prompt.id


def keep_drawings(folder: Path, layout: Layout, scored: Sequence[Scored]) -> None:
    """Writes the drawings of one task, whose prompts `check_drawn` has seen.

    Args:
        scored: those of a prompt next to each other.
    """
    groups: dict[str, list[Scored]] = {}
    for item in scored:
        groups.setdefault(item.rollout.prompt.id, []).append(item)
    for number, group in enumerate(groups.values()):
        if layout == "geneval":
            _geneval(folder / f"{number:05d}", group)
        else:
            _wise(folder, group)


def _geneval(folder: Path, group: Sequence[Scored]) -> None:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    prompt = group[0].rollout.prompt
    row = {"prompt": prompt.text, **prompt.metadata}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    for number, item in enumerate(group):
        _save(item, folder / "samples" / f"{number:04d}.png")


def _wise(folder: Path, group: Sequence[Scored]) -> None:
    """One picture of each prompt, called by its number; more samples stand beside it in folders of their own."""
    name = _number(group[0].rollout.prompt)
    for number, item in enumerate(group):
        place = folder if number == 0 else folder / f"sample-{number}"
        place.mkdir(parents=True, exist_ok=True)
        _save(item, place / f"{name}.png")


def _number(prompt: Prompt) -> str:
    name = prompt.metadata.get("prompt_id")
    if not isinstance(name, int | str) or not str(name).isalnum():
        raise DataError(f"{prompt.id}: `prompt_id` is {name!r:.40}, but WISE's drawings are called by their number.")
    return str(name)


def _save(item: Scored, path: Path) -> None:
    assert item.rollout.image is not None, "only drawings are kept"
    Image.fromarray(item.rollout.image).save(path, "PNG")
