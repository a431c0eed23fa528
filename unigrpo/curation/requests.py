"""What the teacher is asked: one request for each answer, known by a hash of all that it says."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rewards.judge.message import Content, image_part
from unigrpo.config import CurateConfig, TeacherSection
from unigrpo.data.images import fit_image, read_image
from unigrpo.data.prompts import instruction_of
from unigrpo.data.rows import Row
from unigrpo.errors import DataError

PLACEMENT = (
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "distributed_executor_backend"),
    *("gpu_memory_utilization", "cpu_offload_gb", "swap_space", "max_num_seqs", "max_num_batched_tokens"),
    *("enforce_eager", "enable_prefix_caching", "disable_log_stats"),
)
"""Arguments of vLLM's `LLM` that say where and how fast it runs, and not what it answers."""
Named = tuple[str, int, str]
"""By what an answer is known: the id of its prompt, its number, and the hash of its request."""


@dataclass(frozen=True, eq=False)
class Request:
    """One answer that is wanted."""

    config: CurateConfig
    row: Row
    sample: int
    """Number of the answer among those to its prompt."""
    fields: dict[str, Any]
    """Of the request, without its messages."""
    text: str
    picture: str
    """Hash of the picture of the row, whether it is shown or not; empty if there is none."""
    key: str
    """Hash of the whole request."""

    @property
    def name(self) -> Named:
        """By what its answer is known."""
        return self.row.id, self.sample, self.key

    def messages(self) -> list[dict[str, Any]]:
        """Return the conversation to be continued; a picture is read and encoded here."""
        content: Content = self.text
        if shows(self.config):
            content = [image_part(self._pixels()), {"type": "text", "text": self.text}]
        return [{"role": "user", "content": content}]

    def _pixels(self) -> np.ndarray:
        assert self.row.image is not None
        pixels, size = read_image(self.row.image, self.row.where), self.config.teacher.resolution
        return pixels if size is None else fit_image(pixels, size, self.config.data.fit)


def requests_of(config: CurateConfig, rows: Sequence[Row]) -> Iterator[Request]:
    """Yield the requests of all rows, those of one row together.

    The address of a server is no part of their keys, since a model may move; nor is how an engine is placed.

    Raises:
        DataError: the file of a picture cannot be read.
    """
    instruction, engine = instruction_of(config.data), engine_of(config.teacher)
    for row in rows:
        text, picture = f"{instruction}\n{row.prompt}" if instruction else row.prompt, _digest(row)
        shown = [picture, config.teacher.resolution, config.data.fit] if shows(config) else None
        for sample in range(config.samples):
            fields = _fields(config.teacher, sample)
            whole = json.dumps([engine, fields, text, shown], sort_keys=True, default=str)
            key = hashlib.sha256(whole.encode()).hexdigest()[:32]
            yield Request(config, row, sample, fields, text, picture, key)


def shows(config: CurateConfig) -> bool:
    """Return whether the teacher sees the pictures of the rows."""
    return config.data.task == "understand" or config.teacher.look


def engine_of(teacher: TeacherSection) -> dict[str, Any]:
    """Return the arguments of the offline engine on which its answers depend."""
    return {name: value for name, value in teacher.engine.items() if name not in PLACEMENT}


def _fields(teacher: TeacherSection, sample: int) -> dict[str, Any]:
    seed = None if teacher.seed is None else teacher.seed + sample
    own = {"temperature": teacher.temperature, "top_p": teacher.top_p, "max_tokens": teacher.max_tokens, "seed": seed}
    set_here = {name: value for name, value in own.items() if value is not None}
    return {"model": teacher.model, **set_here, **teacher.extra_body}


def _digest(row: Row) -> str:
    """A hash of the picture of a row as it was found."""
    image = row.image
    if isinstance(image, Path):
        try:
            image = image.read_bytes()
        except OSError as error:
            raise DataError(f"{row.where}: the image {str(image)!r} cannot be read: {error.strerror}.") from None
    if isinstance(image, np.ndarray):
        image = str(image.shape).encode() + image.tobytes()
    return "" if image is None else hashlib.sha256(image).hexdigest()
