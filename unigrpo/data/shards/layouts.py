"""Layouts of well-known data sets: from the columns that they have to prompt, response, answer and image.

A layout takes a row's columns and name, and adds columns that `rows` reads; what is already there stays.
"""

import re
from collections.abc import Callable
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.generators import digest
from unigrpo.data.shards import evaluated, seen
from unigrpo.data.shards.conversations import conversation
from unigrpo.errors import DataError

Values = dict[str, Any]
CAPTIONS = ("caption", "txt", "text", "prompt")
"""Columns that may hold a caption, the first that a row has."""
REQUESTS = (
    "Describe this image.",
    "What does this image show?",
    "Write a caption for this picture.",
    "What can be seen here?",
    "Please describe the picture in detail.",
    "Tell me what is in this image.",
)
"""What is asked of a captioned image; a hash of the row's name chooses."""
IMAGES = ("image", "image_path", "img_path", "file_name", "images", "image_filename")
_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)


def expand(record: Record, section: DataSection) -> list[Record]:
    """Return the rows that a row of a layout stands for, one unless a conversation gives more.

    Raises:
        DataError: the row has not the columns of its layout.
    """
    if section.layout == "rows":
        return [record]
    if section.layout in ("messages", "sharegpt", "llava"):
        return conversation(record, section.layout, section.turns)
    return [Record(record.name, record.where, record.values | LAYOUTS[section.layout](record, section))]


def _caption(record: Record, section: DataSection) -> Values:
    caption = _text(record, CAPTIONS)
    if section.task == "image":
        return {"prompt": caption}
    request = REQUESTS[digest(record.name) % len(REQUESTS)]
    return {"prompt": request, "response": caption, "answer": caption}


def _text_alone(record: Record, section: DataSection) -> Values:
    return {"prompt": "", "response": _text(record, ("text", "content", "txt"))}


def _alpaca(record: Record, section: DataSection) -> Values:
    more = record.values.get("input")
    instruction = _text(record, ("instruction",))
    return {"prompt": f"{instruction}\n{more}" if more else instruction, "response": _text(record, ("output",))}


def _solved(record: Record, section: DataSection) -> Values:
    """Rows of `problem` or `question` and `solution`, whose answer may stand in <answer> tags."""
    solution = _text(record, ("solution", "answer"))
    matches = _ANSWER.findall(solution)
    answer = matches[-1] if matches else solution.rpartition("</think>")[2].strip()
    image = next((record.values[name] for name in IMAGES if record.values.get(name) not in (None, "", [])), None)
    image = image[0] if isinstance(image, list) and image else image
    prompt = _text(record, ("problem", "question")).replace("<image>", "").strip()
    return {"prompt": prompt, "response": _ANSWER.sub(r"\1", solution).strip(), "answer": answer, "image": image}


def _text(record: Record, names: tuple[str, ...]) -> str:
    """The first of some columns that a row has, which must hold text."""
    name = next((name for name in names if name in record.values), None)
    value = record.values[name] if name else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        have = ", ".join(record.values) or "none"
        found = f"`{name}` is {value!r:.60}" if name else f"there is no column {' or '.join(map(repr, names))}"
        raise DataError(f"{record.where}: {found}, which this data.layout needs. Its columns: {have}.")
    return value


LAYOUTS: dict[str, Callable[[Record, DataSection], Values]] = {
    "caption": _caption,
    "text": _text_alone,
    "alpaca": _alpaca,
    "geoqa": _solved,
    "clevr": _solved,
    "cogent": _solved,
    "choices": evaluated.choices,
    "gsm8k": evaluated.gsm8k_rows,
    "countdown": evaluated.countdown,
    "sudoku": evaluated.sudoku,
    "pope": seen.yes_or_no,
    "mme": seen.yes_or_no,
    "vqav2": seen.vqav2,
    "gqa": seen.gqa,
    "mmmu": seen.mmmu,
    "vlmevalkit": seen.vlmevalkit,
}
