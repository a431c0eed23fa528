"""The rows of a config's data as rewards see them, without a model and its tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rewards.format import THINK
from unigrpo.config import DataSection, RewardEntry, TaskSection
from unigrpo.data.prompts import instruction_of
from unigrpo.data.rows import Row, read_rows
from unigrpo.types import Prompt

ANSWER_TAGS = "<answer>{answer}</answer>"


@dataclass(frozen=True)
class Example:
    """One row of the data."""

    row: Row
    section: DataSection
    stream: str
    resolution: int

    def prompt(self, look: bool) -> Prompt:
        """The prompt, with one token for each word; its picture is read only where a reward wants to see it."""
        return Prompt(
            id=f"{self.stream}/{self.row.id}" if self.stream else self.row.id,
            task=self.section.task,
            text=self.row.prompt,
            tokens=np.arange(len(self.row.prompt.split()) + 1),
            answer=self.row.answer,
            images=(self.picture(),) if look and self.row.image is not None else (),
            stream=self.stream,
            metadata=self.row.metadata,
        )

    def picture(self) -> np.ndarray:
        """The picture, square, as the image tokenizer would get it.

        Raises:
            DataError: it cannot be read.
        """
        from unigrpo.data.images import fit_image, read_image

        assert self.row.image is not None
        return fit_image(read_image(self.row.image, self.row.where), self.resolution, self.section.fit)


def examples_of(task: TaskSection, stream: str, resolution: int, most: int) -> list[Example]:
    """Return the first rows of the training data and of the held-out data of a task, at most so many of each.

    Raises:
        DataError: a file or a row cannot be read; the message names the line.
    """
    found: list[Example] = []
    for section in filter(None, (task.data, task.eval)):
        require = ("image",) if section.task == "understand" else ()
        limited = replace(section, limit=min(most, section.limit or most))
        found += [Example(row, section, stream, resolution) for row in read_rows(limited, require)]
    return found


def asked_format(section: DataSection, rewards: Mapping[str, RewardEntry]) -> str | None:
    """Return the format that responses are asked to have: that of the format reward, or of the instruction."""
    entry = rewards.get("format")
    if entry is not None and entry.path is None:
        return entry.args.get("template", THINK)
    instruction = instruction_of(section)
    thought = "<think>{think}</think>" if "<think>" in instruction else ""
    if "<answer>" in instruction:
        return thought + ANSWER_TAGS
    return THINK if thought else None
