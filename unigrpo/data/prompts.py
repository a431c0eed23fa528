"""Prompts: instruction and text in their template, as ids, in the layout of their task.

Source: MMaDA, generate.py and its data sets.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.layouts import lay_out, special
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


def text_part(
    text: str,
    section: DataSection,
    tokenizer: "PreTrainedTokenizerBase",
    ids: SpecialIds,
    history: Sequence[tuple[str, str]] = (),
) -> list[int]:
    """Return the ids of a prompt that `max_prompt_length` limits: one BOS, then instruction and text in the template.

    A drawing's text stands alone, behind the id of its task. A prompt that is thought out first has that id too.

    Args:
        history: the turns before it, each a speaker and what was said, for the template `chat`.
    """
    instruction = instruction_of(section)
    front = f"{instruction}\n" if instruction else ""
    content = f"{front}{text}"
    bos = [] if ids.bos is None else [ids.bos]
    if section.task == "image":
        return [special(ids, "t2i"), *bos, *encode_text(content, tokenizer, ids)]
    task = [special(ids, "r2i")] if section.task == "think_image" else []
    if section.template == "plain":
        return [*task, *bos, *encode_text(f"{front}{_joined(history, section)}{text}", tokenizer, ids)]
    if section.shots is not None:
        history = [(who, f"{front}{said}" if who == "user" else said) for who, said in history]
    return [*task, *bos, *_turns([*history, ("user", content)], section.legacy_eot, tokenizer, ids)]


def _joined(history: Sequence[tuple[str, str]], section: DataSection) -> str:
    """Solved rows as text, each behind its separator."""
    after = {"user": section.delimiter, "assistant": section.shots.separator if section.shots else ""}
    return "".join(f"{said}{after.get(who, '')}" for who, said in history)


def _turns(
    turns: Sequence[tuple[str, str]], legacy_eot: bool, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds
) -> list[int]:
    """All turns, and the head of the assistant's."""
    if ids.start_header is None or ids.end_header is None or ids.eot is None:
        raise ConfigError(
            "data.template is chat, but the model has no header and end-of-turn ids: set data.template=plain."
        )
    end = [] if legacy_eot else [ids.eot]
    found: list[int] = []
    for speaker, content in turns:
        said = f"\n{content.strip()}{LITERAL_EOT if legacy_eot else ''}"
        who, turn = encode_text(speaker, tokenizer, ids), encode_text(said, tokenizer, ids)
        found += [ids.start_header, *who, ids.end_header, *turn, *end]
    assistant, newline = encode_text("assistant", tokenizer, ids), encode_text("\n", tokenizer, ids)
    return [*found, ids.start_header, *assistant, ids.end_header, *newline]
