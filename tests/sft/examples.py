"""Examples of every task, small enough to write out, and the ids they are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unigrpo.config import OptimSection, SFTConfig, SFTSection
from unigrpo.data.load import Example
from unigrpo.engine import Engine
from unigrpo.models import IdTable, LLaDAModelLM, Policy
from unigrpo.sft.course import Course
from unigrpo.sft.kept import BatchStream
from unigrpo.sft.learner import SFTLearner
from unigrpo.sft.recipe import Recipe
from unigrpo.sft.streams import Stream
from unigrpo.sft.turns import Turns
from unigrpo.types import Task

IDS = IdTable(
    mask=9, eos=8, pad=8, bos=7, soi=10, eoi=11, t2i=12, mmu=13, r2i=14, ipad=15,
    text_vocab=16, image_offset=16, codebook_size=8,
)  # fmt: skip
VOCAB = 24
SOI, EOI, EOS = 10, 11, 8


def example(prompt, response=(), image=(), task: Task = "text", unconditional=None) -> Example:
    """An example of given ids; the limits count its whole prompt."""
    return Example(
        id="x",
        task=task,
        prompt_tokens=np.array(prompt),
        response_tokens=np.array(response, dtype=np.int64),
        image_tokens=np.array(image, dtype=np.int64),
        text_length=len(prompt),
        unconditional=None if unconditional is None else np.array(unconditional),
    )


def drawing(text, codes) -> Example:
    """`<|t2i|> BOS text EOS <|soi|>`, then codes and `<|eoi|>`."""
    return example([12, 7, *text, EOS, SOI], (), [*codes, EOI], "image", [12, 7, EOS, SOI])


def thought(text, said, codes) -> Example:
    """`<|r2i|> BOS text`, a thought, `<|soi|>`, codes and `<|eoi|>`."""
    return example([14, 7, *text], [*said, EOS], [SOI, *codes, EOI], "think_image", [14, 7])


def kept(rows: Sequence[Example], size: int, seed: int = 0) -> Stream:
    """A stream of rows in memory."""
    return Stream(BatchStream(rows, seed=seed, batch_size=size))


def learner_of(
    model: LLaDAModelLM, recipes: Mapping[str, Recipe], accumulation: int = 1, ids: IdTable = IDS, engine: Any = None
) -> SFTLearner:
    """What learns by recipes of its own."""
    config = SFTConfig(sft=SFTSection(accumulation=accumulation))
    made = SFTLearner(config, Policy(model, None, ids), engine or Engine(model, OptimSection(), 10), None)  # pyright: ignore[reportArgumentType]
    made.recipes = dict(recipes)
    return made


def backward(learner: SFTLearner, course: Course, step: int = 0) -> dict[str, float]:
    """The losses of a step, whose gradient is left in the model."""
    [share] = course.shares(step)
    return learner._backward(share)


def course_of(streams: Mapping[str, Stream], sections: Any, micro_batch: int = 3, accumulation: int = 1) -> Course:
    """What steps of streams are made of."""
    return Course(streams, Turns(sections, 0), micro_batch, accumulation)
