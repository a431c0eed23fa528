"""Loading a data section: as prompts for rollouts, examples for supervised training, or text for a tokenizer."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.prompts import THINK_INSTRUCTION, SpecialIds, encode_prompt, encode_text
from unigrpo.data.rows import Row, read_rows
from unigrpo.errors import DataError
from unigrpo.types import Prompt, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT_LIMIT = 20_000_000
"""Characters from which a tokenizer is trained; more change its merges little."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A prompt with the response to learn, both as ids."""

    id: str
    prompt_tokens: np.ndarray
    """[P] int64, with the template applied and the beginning-of-sequence id in front."""
    response_tokens: np.ndarray
    """[L] int64, with the end-of-sequence id at its end."""


def load_prompts(
    section: DataSection,
    tokenizer: "PreTrainedTokenizerBase",
    ids: SpecialIds,
    task: Task = "text",
    need_answer: bool = True,
) -> list[Prompt]:
    """Return the prompts of a section, in its order, with unique ids.

    Raises:
        DataError: a row cannot be used, has no answer where one is needed, or is longer than `max_prompt_length`.
    """
    rows = read_rows(section, ("answer",) if need_answer else ())
    return [
        Prompt(id=row.id, task=task, text=row.prompt, tokens=tokens, answer=row.answer, metadata=row.metadata)
        for row, tokens in _encoded(rows, section, tokenizer, ids)
    ]


def load_examples(section: DataSection, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> list[Example]:
    """Return the examples of a section, in its order; every row must have a response."""
    examples = []
    for row, tokens in _encoded(read_rows(section, ("response",)), section, tokenizer, ids):
        assert row.response is not None
        response = [*encode_text(row.response, tokenizer, ids), ids.eos]
        examples.append(Example(id=row.id, prompt_tokens=tokens, response_tokens=np.array(response, dtype=np.int64)))
    return examples


def texts(section: DataSection) -> list[str]:
    """Return the text of a section for training a tokenizer: prompts, responses, answers and the template's words."""
    instruction = THINK_INSTRUCTION if section.instruction == "think" else section.instruction
    found = [instruction] if instruction else []
    if section.template == "chat":
        found += ["user", "assistant"]
    size = 0
    for row in read_rows(section):
        size += sum(len(text) for text in (row.prompt, row.response, row.answer) if text)
        if size > TEXT_LIMIT:
            break
        found += [text for text in (row.prompt, row.response, row.answer) if text]
    return found


def _encoded(
    rows: list[Row], section: DataSection, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds
) -> list[tuple[Row, np.ndarray]]:
    kept = []
    for row in rows:
        tokens = encode_prompt(row.prompt, section, tokenizer, ids)
        if len(tokens) <= section.max_prompt_length:
            kept.append((row, tokens))
        elif section.too_long == "error":
            raise DataError(
                f"{row.where}: the prompt has {len(tokens)} tokens, but data.max_prompt_length is "
                f"{section.max_prompt_length}. Raise it, or leave such rows out with data.too_long=drop."
            )
    if not kept:
        raise DataError(
            f"all {len(rows)} prompts of {section.path or section.source} have more than data.max_prompt_length="
            f"{section.max_prompt_length} tokens. Raise it."
        )
    if len(kept) < len(rows):
        _log.warning(
            "%s: left out %d of %d prompts, which have more than data.max_prompt_length=%d tokens.",
            section.path or section.source,
            len(rows) - len(kept),
            len(rows),
            section.max_prompt_length,
        )
    return kept
