"""`unigrpo generate file=prompts.jsonl output=answers.jsonl`: many prompts, answered in batches, and gone on with."""

import hashlib
import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rollout.sampler import Sampler
from unigrpo.asking import Asker, Sight, see
from unigrpo.cli.answers_file import AnswersFile
from unigrpo.config import DataSection, GenerateConfig
from unigrpo.data.files import record_of
from unigrpo.data.images import read_image
from unigrpo.data.inpainting import boxed, whitened
from unigrpo.data.rows import Row, read_rows, row_of
from unigrpo.errors import DataError
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.progress import progress
from unigrpo.tracking import columns
from unigrpo.types import DRAWING, Prompt, Rollout


def answer(config: GenerateConfig, rows: list[Row], sampler: Sampler, asker: Asker) -> AnswersFile:
    """Answers the rows of a file that have no answers yet, a batch at a time; each batch is written when it is done.

    What is drawn for a row depends on the seed and its id, so the batch that it is in does not matter.

    Raises:
        DataError: a row cannot be asked; of texts this is known before the first is asked.
    """
    about = {row.id: _about(row, config) for row in rows}
    answers = AnswersFile.open(config, {row.id: _asked(row, about[row.id], config) for row in rows})
    waiting = [row for row in rows if row.id not in answers.done]
    # A name that is taken stays that of its answer, wherever its prompt stands in the file by now.
    free = (number for number in count(1) if number not in answers.taken)
    numbers = dict(zip((row.id for row in waiting), free, strict=False))
    for row in waiting:
        _check(row, config, asker)
    size = max(1, config.rollout.batch_size // config.samples)
    with progress("Answers", len(rows), start=len(rows) - len(waiting)) as bar:
        for at in range(0, len(waiting), size):
            part = waiting[at : at + size]
            prompts = [_prompt(row, config, asker, sampler.images) for row in part]
            rollouts = sampler.sample(prompts, config.samples, "generate")
            found = [
                _line(rollout, index % config.samples, answers, numbers[rollout.prompt.id]) | about[rollout.prompt.id]
                for index, rollout in enumerate(rollouts)
            ]
            answers.add(found)
            bar.update({}, len(part))
    return answers


def rows_to_ask(config: GenerateConfig) -> list[Row]:
    """The rows of `file`.

    Raises:
        DataError: the file or a row of it cannot be used.
    """
    assert config.file is not None
    section = DataSection(task=config.task, path=config.file, columns=config.columns)
    if not config.file.endswith(".txt"):
        return read_rows(section, ("image",) * (config.task == "understand"))
    file = Path(config.file)
    if not file.is_file():
        raise DataError(f"{config.file} does not exist: name a file of prompts.")
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{config.file}: not UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    records = [record_of(file, "line", n, {"prompt": line}) for n, line in enumerate(lines, 1) if line.strip()]
    if not records:
        raise DataError(f"{config.file} has no prompts: write one on each line.")
    return [row_of(record, section, ()) for record in records]


def _check(row: Row, config: GenerateConfig, asker: Asker) -> None:
    """Finds what can be found without work: texts that are too long, and pictures that are not there."""
    try:
        asker.tokens(row.prompt)
    except DataError as error:
        raise DataError(f"{row.where}: {error}") from None
    mask = row.metadata.get("mask")
    if config.task in DRAWING and mask and row.image is None:
        raise DataError(f"{row.where}: there is a mask, but no image that is kept outside it: give it an image.")
    if _is_seen(row, config) and isinstance(row.image, Path) and not row.image.is_file():
        raise DataError(f"{row.where}: the image {str(row.image)!r} does not exist. Correct the path.")


def _is_seen(row: Row, config: GenerateConfig) -> bool:
    """Whether a row's picture matters: one without a mask is no part of what a drawing is made of."""
    return row.image is not None and (config.task == "understand" or bool(row.metadata.get("mask")))


def _about(row: Row, config: GenerateConfig) -> dict[str, str]:
    """What names the picture of a row in its answers: its path from the folder of the file, or its content."""
    if not _is_seen(row, config):
        return {}
    if isinstance(row.image, Path):
        return {"about": os.path.relpath(row.image, Path(config.file or "").parent.absolute())}
    content = row.image if isinstance(row.image, bytes) else np.ascontiguousarray(row.image).tobytes()
    return {"about": f"sha256:{hashlib.sha256(content).hexdigest()[:16]}"}


def _asked(row: Row, about: Mapping[str, str], config: GenerateConfig) -> dict[str, Any]:
    """All of a row that its answers depend on."""
    mask = {"mask": row.metadata.get("mask")} if config.task in DRAWING else {}
    return {"prompt": row.prompt, "about": about.get("about"), **mask}


def _prompt(row: Row, config: GenerateConfig, asker: Asker, images: ImageTokenizer | None) -> Prompt:
    sight = _sight(row, config, images) if images is not None and _is_seen(row, config) else None
    return asker.prompt(row.prompt, row.id, sight, answer=row.answer, metadata=row.metadata)


def _sight(row: Row, config: GenerateConfig, images: ImageTokenizer) -> Sight:
    assert row.image is not None
    picture = read_image(row.image, row.where)
    if config.task not in DRAWING:
        return see(picture, images, config.fit)
    mask = str(row.metadata["mask"])
    try:
        masked = boxed(mask, images.resolution)
        if masked is None:
            place = Path(config.file or "").parent / mask
            masked = whitened(read_image(place, row.where), picture.shape, images.resolution, config.fit)
        return see(picture, images, config.fit, masked)
    except DataError as error:
        where = "" if str(error).startswith(row.where) else f"{row.where}: "
        raise DataError(f"{where}{error}") from None


def _line(rollout: Rollout, sample: int, answers: AnswersFile, number: int) -> dict[str, Any]:
    """What is written down about an answer; a drawing is written as a picture."""
    prompt = rollout.prompt
    found: dict[str, Any] = {"id": prompt.id, "sample": sample, "task": prompt.task, "prompt": prompt.text}
    found |= {"output": rollout.output, "truncated": rollout.truncated}
    if prompt.answer is not None:
        found["answer"] = prompt.answer
    if rollout.image is not None:
        found["picture"] = answers.picture(number, sample)
        _save(rollout.image, answers.path.parent / found["picture"])
    return found | columns(prompt)


def _save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
