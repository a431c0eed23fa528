"""Loading a data section: as prompts for rollouts, examples for supervised training, or text for a tokenizer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.layouts import image_part, lay_out, unconditional
from unigrpo.data.prompts import encode_text, instruction_of, text_part
from unigrpo.data.protocols import Images, SpecialIds
from unigrpo.data.rows import Row, iter_rows, read_rows
from unigrpo.data.shots import with_shots
from unigrpo.data.sight import check_images, picture_flaw, pictures
from unigrpo.errors import DataError
from unigrpo.types import DRAWING, Prompt, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXT_LIMIT = 20_000_000
"""Characters from which a tokenizer is trained; more change its merges little."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A prompt with the response to learn, as ids: a text, an image, or a thought and an image."""

    id: str
    task: Task
    prompt_tokens: np.ndarray
    """[P] int64, as in a `Prompt`."""
    response_tokens: np.ndarray
    """[L] int64, text with the end-of-sequence id at its end; empty where an image is drawn without a thought."""
    image_tokens: np.ndarray
    """[X] int64, what follows the text: the start of an image unless the prompt ends in it, codes, end; or empty."""
    text_length: int
    """Tokens of the prompt without those of an image."""
    unconditional: np.ndarray | None = None
    """As in a `Prompt`."""


def load_prompts(
    section: DataSection,
    tokenizer: "PreTrainedTokenizerBase",
    ids: SpecialIds,
    *,
    stream: str = "",
    images: Images | None = None,
    need_answer: bool = True,
    visible_pads: bool = False,
    most: int | None = None,
) -> list[Prompt]:
    """Return the prompts of a section, in its order, with unique ids. Those about one picture share it.

    Args:
        stream: the name of the run's task that they belong to; it stands in front of their ids.
        images: the image tokenizer, for tasks with images.
        need_answer: whether a prompt of task `text` must have one. Of the other tasks, which may be judged without, the
            rewards say what they need.
        visible_pads: as in `lay_out`.
        most: how many, of those that are short enough; no picture of the others is looked at.

    Raises:
        ConfigError: the task needs an image tokenizer, or ids that the model has not.
        DataError: a row cannot be used, has no answer where one is needed, or is longer than `max_prompt_length`.
    """
    check_images(section, ids, images)
    looks = section.task == "understand"
    need_answer = need_answer and section.task == "text"
    rows = read_rows(section, ("answer",) * need_answer + ("image",) * looks)
    kept = _short_enough(with_shots(rows, section), section, tokenizer, ids)[:most]
    seen = _seen_once([row for row, _ in kept], section, images, looks)
    return [
        Prompt(
            id=f"{stream}/{row.id}" if stream else row.id,
            task=section.task,
            text=row.prompt,
            tokens=lay_out(tokens, section, ids, codes, visible_pads),
            answer=row.answer,
            images=() if picture is None else (picture,),
            stream=stream,
            unconditional=unconditional(section, ids, visible_pads),
            metadata=row.metadata,
        )
        for (row, tokens), (picture, codes) in zip(kept, seen, strict=True)
    ]


def _seen_once(
    rows: Sequence[Row], section: DataSection, images: Images | None, looks: bool
) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
    """The picture and the codes of each row; there may be many questions about one, which is read and encoded once."""
    keys = [row.image if isinstance(row.image, Path | bytes) else at for at, row in enumerate(rows)]
    firsts: dict[Path | bytes | int, Row] = {}
    for key, row in zip(keys, rows, strict=True):
        firsts.setdefault(key, row)
    shared = dict(zip(firsts, pictures(list(firsts.values()), section, images, encode=looks), strict=True))
    return [shared[key] for key in keys]


def load_examples(
    section: DataSection,
    tokenizer: "PreTrainedTokenizerBase",
    ids: SpecialIds,
    *,
    images: Images | None = None,
    visible_pads: bool = False,
) -> list[Example]:
    """Return the examples of a section, in its order; every row must have what its task is to learn."""
    check_images(section, ids, images)
    rows = _short_enough(read_rows(section, learned(section.task)), section, tokenizer, ids)
    kept = _fitting([(row, tokens, response_of(row, tokenizer, ids, section)) for row, tokens in rows], section)
    seen = pictures([row for row, _, _ in kept], section, images, encode=section.task != "text")
    return [
        make_example(row.id, tokens, response, codes, section, ids, visible_pads)
        for (row, tokens, response), (_, codes) in zip(kept, seen, strict=True)
    ]


def response_of(row: Row, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds, section: DataSection) -> list[int]:
    """Return the ids of a row's response with its end, or none where only an image is drawn."""
    return [] if section.task == "image" else [*encode_text(row.response or "", tokenizer, ids), ids.eos]


def _fitting(
    rows: list[tuple[Row, list[int], list[int]]], section: DataSection
) -> list[tuple[Row, list[int], list[int]]]:
    """The rows that no filter leaves out, and whose pictures are sound where broken ones may be left out."""
    from unigrpo.data.shards.broken import Skipped, Tally
    from unigrpo.data.shards.filters import unfit, wrong_length

    kept, tally = [], Tally(section.path or section.source, section.max_broken)
    for row, tokens, response in rows:
        left_out = unfit(row, section.filter) or wrong_length(len(tokens) + len(response), section.filter)
        flaw = None if left_out or not section.max_broken else picture_flaw(row)
        tally.add(Skipped(left_out or flaw or "", broken=bool(flaw)) if left_out or flaw else row)
        kept += [] if left_out or flaw else [(row, tokens, response)]
    tally.end()
    if not kept:
        raise DataError(f"{tally.name}: no row is left of {tally.seen}: {dict(tally.filtered)}. Widen data.filter.")
    if len(kept) < len(rows):
        _log.warning("%s: left out %d of %d rows.", tally.name, len(rows) - len(kept), len(rows))
    return kept


def learned(task: Task) -> tuple[str, ...]:
    """Return the columns that every row must have to be an example of a task."""
    return ("response",) * (task != "image") + ("image",) * (task != "text")


def make_example(
    name: str,
    tokens: Sequence[int],
    response: Sequence[int],
    codes: np.ndarray | None,
    section: DataSection,
    ids: SpecialIds,
    visible_pads: bool = False,
) -> Example:
    """Return the example of a prompt's text part, a response with its end, and the codes of the row's image."""
    if section.layout == "text":  # text alone has no prompt: its first token is learned like the others
        tokens, response = [], [*tokens, *response]
    drawn = codes if section.task in DRAWING else None
    image = image_part(drawn, ids) if drawn is not None else np.empty(0, dtype=np.int64)
    return Example(
        id=name,
        task=section.task,
        prompt_tokens=lay_out(tokens, section, ids, codes, visible_pads),
        response_tokens=np.array(response, dtype=np.int64),
        image_tokens=image[1:] if section.task == "image" else image,
        text_length=len(tokens),
        unconditional=unconditional(section, ids, visible_pads),
    )


def texts(section: DataSection) -> list[str]:
    """Return the text of a section for training a tokenizer: prompts, responses, answers and the template's words."""
    instruction = instruction_of(section)
    found = [instruction] if instruction else []
    if section.template == "chat" and section.task != "image":
        found += ["user", "assistant"]
    size = 0
    for row in islice(iter_rows(section), section.limit):
        size += sum(len(text) for text in (row.prompt, row.response, row.answer) if text)
        if size > TEXT_LIMIT:
            break
        found += [text for text in (row.prompt, row.response, row.answer) if text]
    return found


def _short_enough(
    rows: list[Row], section: DataSection, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds
) -> list[tuple[Row, list[int]]]:
    """The rows whose prompt is within the limit, and the text part of that prompt."""
    kept = []
    for row in rows:
        tokens = text_part(row.prompt, section, tokenizer, ids, row.history)
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
