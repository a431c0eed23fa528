"""Examples of every task, small enough to write out, and the ids they are made of."""

import numpy as np

from unigrpo.data.load import Example
from unigrpo.models import IdTable
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
