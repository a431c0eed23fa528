"""Token layouts: what a prompt of each task looks like, and the sequences of text training.

Source: MMaDA, training/prompting_utils.py and generate.py, as measured in tests/golden.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.protocols import SpecialIds
from unigrpo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATE = (
    "<|startoftext|><|start_header_id|>user<|end_header_id|>\n{content}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n"
)
"""MMaDA's chat template: one newline after a header, where LLaDA's own has two. The content is stripped."""
LITERAL_EOT = "<eot_id>"
"""What stands in the place of `<|eot_id|>` in the caption and reasoning data of MMaDA's first releases."""
THINK_INSTRUCTION = (
    "You should first think about the reasoning process in the mind and then provide the user with the answer. "
    "The reasoning process is enclosed within `<think> </think>` tags, "
    "i.e. `<think> reasoning process here </think> answer here`"
)
"""What MMaDA puts in front of a question, on a line of its own, to be answered after thinking."""
THINK_IMAGE_INSTRUCTION = (
    "You should first think out a more detailed version of the description and then provide the user with the image. "
    "The detailed description is enclosed within `<think> </think>` tags, "
    "i.e. `<think> detailed description here </think> image here`"
)
"""What MMaDA puts in front of a description that is to be thought out and then drawn."""

SPECIAL = ("bos", "eos", "mask", "start_header", "end_header", "eot", "soi", "eoi", "t2i", "mmu", "r2i", "ipad")
"""The ids that no text may hold."""


def instruction_of(section: DataSection) -> str:
    """Return the text that a section puts in front of every prompt."""
    if section.instruction != "think":
        return section.instruction
    return THINK_IMAGE_INSTRUCTION if section.task == "think_image" else THINK_INSTRUCTION


def encode_text(text: str, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> list[int]:
    """Encode what a user wrote: the string `<|eot_id|>` in it is seven characters of text, never the special token.

    Raises:
        DataError: the tokenizer makes a special id of it all the same.
    """
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    tokens = cast(list[int], encoded["input_ids"])
    reserved = {getattr(ids, name) for name in SPECIAL}
    for token in tokens:
        if token in reserved:
            raise DataError(
                f"the tokenizer encodes {tokenizer.convert_ids_to_tokens(token)!r} in {text!r:.60} as special id "
                f"{token}: remove it from the text, or mark the token as special in the tokenizer."
            )
    return tokens


def encode_prompt(
    text: str,
    section: DataSection,
    tokenizer: "PreTrainedTokenizerBase",
    ids: SpecialIds,
    codes: np.ndarray | None = None,
    visible_pads: bool = False,
) -> np.ndarray:
    """Return the ids of a prompt, [T] int64, up to where the response begins: `lay_out` of its `text_part`."""
    return lay_out(text_part(text, section, tokenizer, ids), section, ids, codes, visible_pads)


def text_part(text: str, section: DataSection, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> list[int]:
    """Return the ids of a prompt that `max_prompt_length` limits: one BOS, then instruction and text in the template.

    A drawing's text stands alone, behind the id of its task. A prompt that is thought out first has that id too.
    """
    instruction = instruction_of(section)
    content = f"{instruction}\n{text}" if instruction else text
    bos = [] if ids.bos is None else [ids.bos]
    if section.task == "image":
        return [special(ids, "t2i"), *bos, *encode_text(content, tokenizer, ids)]
    task = [special(ids, "r2i")] if section.task == "think_image" else []
    if section.template == "plain":
        return [*task, *bos, *encode_text(content, tokenizer, ids)]
    return [*task, *bos, *_turns(content, section.legacy_eot, tokenizer, ids)]


def _turns(content: str, legacy_eot: bool, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> list[int]:
    """The user's turn, and the head of the assistant's."""
    if ids.start_header is None or ids.end_header is None or ids.eot is None:
        raise ConfigError(
            "data.template is chat, but the model has no header and end-of-turn ids: set data.template=plain."
        )
    said = f"\n{content.strip()}{LITERAL_EOT if legacy_eot else ''}"
    user, turn, assistant, newline = (encode_text(piece, tokenizer, ids) for piece in ("user", said, "assistant", "\n"))
    end = [] if legacy_eot else [ids.eot]
    header = ids.start_header, ids.end_header
    return [header[0], *user, header[1], *turn, *end, header[0], *assistant, header[1], *newline]


def lay_out(
    tokens: Sequence[int],
    section: DataSection,
    ids: SpecialIds,
    codes: np.ndarray | None = None,
    visible_pads: bool = False,
) -> np.ndarray:
    """Return the ids of a whole prompt, [T] int64, from its text part.

    Args:
        codes: [N] int64, the image that `understand` asks about; it comes first.
        visible_pads: fill a drawing's text up to `max_prompt_length` with pads that are part of it, or cut it there.
    """
    if section.task == "understand":
        assert codes is not None, "a question about an image comes with its codes"
        return np.array([special(ids, "mmu"), *image_part(codes, ids), *tokens], dtype=np.int64)
    if section.task != "image":
        return np.array(tokens, dtype=np.int64)
    head = list(tokens)
    if visible_pads:
        head = [special(ids, "ipad")] * (section.max_prompt_length - len(head)) + head[: section.max_prompt_length]
    return np.array([*head, ids.eos, special(ids, "soi")], dtype=np.int64)


def unconditional(section: DataSection, ids: SpecialIds, visible_pads: bool = False) -> np.ndarray | None:
    """Return the ids that stand for a prompt that asks for nothing, [T] int64; None where guidance masks the prompt.

    Only drawings have one. Behind that of `think_image` the whole thought is ends of sequence.
    """
    bos = [] if ids.bos is None else [ids.bos]
    if section.task == "image":
        return lay_out([special(ids, "t2i"), *bos], section, ids, visible_pads=visible_pads)
    return np.array([special(ids, "r2i"), *bos], dtype=np.int64) if section.task == "think_image" else None


def image_part(codes: np.ndarray, ids: SpecialIds) -> np.ndarray:
    """Return the ids of an image, [N + 2] int64: its start, its codes in raster order, and its end."""
    start, end = special(ids, "soi"), special(ids, "eoi")
    return np.array([start, *(codes + ids.image_offset), end], dtype=np.int64)


def special(ids: SpecialIds, name: str) -> int:
    """Return an id that only tasks with images need.

    Raises:
        ConfigError: the model has none.
    """
    if ids.image_offset is None:
        raise ConfigError(
            "a task with images needs a model with image codes, and this one has none: use an MMaDA model, or make one "
            "of a LLaDA model with `unigrpo init-mmada`."
        )
    if getattr(ids, name) is None:
        raise ConfigError(
            f"a task with images needs the id `{name}`, which this model has not: add it to `ids` in its config.json."
        )
    return getattr(ids, name)


def lm(tokens: Sequence[int], length: int, ids: SpecialIds) -> np.ndarray:
    """Lay out plain text for training: BOS if absent, filled up with EOS, or cut without one. Labels are the ids.

    Returns:
        [length] int64.
    """
    laid_out = list(tokens[:length])
    if ids.bos is not None and laid_out[:1] != [ids.bos]:
        laid_out = [ids.bos, *laid_out][:length]
    return np.array(laid_out + [ids.eos] * (length - len(laid_out)), dtype=np.int64)


def lm_chat(tokens: Sequence[int], length: int, ids: SpecialIds) -> tuple[np.ndarray, np.ndarray]:
    """Lay out a conversation for training: as `lm`, with everything up to the last speaker's name as the prompt.

    Returns:
        ids, [length] int64, and prompt mask, [length] bool: True up to and including the last end of a header, and
        nowhere when there is none.
    """
    laid_out = lm(tokens, length, ids)
    headers = np.flatnonzero(laid_out == ids.end_header) if ids.end_header is not None else np.empty(0, dtype=np.int64)
    prompt_mask = np.arange(length) <= (headers[-1] if len(headers) else -1)
    return laid_out, prompt_mask
