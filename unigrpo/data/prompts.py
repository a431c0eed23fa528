"""Token layouts: the chat template, plain prompts, and the sequences of text training.

Source: MMaDA, training/prompting_utils.py and generate.py, as measured in tests/golden.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from unigrpo.config import DataSection
from unigrpo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATE = (
    "<|startoftext|><|start_header_id|>user<|end_header_id|>\n{content}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n"
)
"""MMaDA's chat template: one newline after a header, where LLaDA's own has two. The content is stripped."""
THINK_INSTRUCTION = (
    "You should first think about the reasoning process in the mind and then provide the user with the answer. "
    "The reasoning process is enclosed within `<think> </think>` tags, "
    "i.e. `<think> reasoning process here </think> answer here`"
)
"""What MMaDA puts in front of a question, on a line of its own, to be answered after thinking."""


class SpecialIds(Protocol):
    """The special ids that layouts need; None where the model has no such token."""

    @property
    def bos(self) -> int | None:
        """Beginning of sequence."""
        ...

    @property
    def eos(self) -> int:
        """End of sequence, which also fills up."""
        ...

    @property
    def mask(self) -> int:
        """The mask of the diffusion."""
        ...

    @property
    def start_header(self) -> int | None:
        """Opens the name of a turn's speaker."""
        ...

    @property
    def end_header(self) -> int | None:
        """Closes the name of a turn's speaker."""
        ...

    @property
    def eot(self) -> int | None:
        """End of a turn."""
        ...


def encode_text(text: str, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> list[int]:
    """Encode what a user wrote: the string `<|eot_id|>` in it is seven characters of text, never the special token.

    Raises:
        DataError: the tokenizer makes a special id of it all the same.
    """
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    tokens = cast(list[int], encoded["input_ids"])
    special = {ids.bos, ids.eos, ids.mask, ids.start_header, ids.end_header, ids.eot}
    for token in tokens:
        if token in special:
            raise DataError(
                f"the tokenizer encodes {tokenizer.convert_ids_to_tokens(token)!r} in {text!r:.60} as special id "
                f"{token}: remove it from the text, or mark the token as special in the tokenizer."
            )
    return tokens


def encode_prompt(text: str, section: DataSection, tokenizer: "PreTrainedTokenizerBase", ids: SpecialIds) -> np.ndarray:
    """Return the ids of a prompt, [T] int64: instruction and text in the section's template, after one BOS."""
    instruction = THINK_INSTRUCTION if section.instruction == "think" else section.instruction
    content = f"{instruction}\n{text}" if instruction else text
    bos = [] if ids.bos is None else [ids.bos]
    if section.template == "plain":
        return np.array([*bos, *encode_text(content, tokenizer, ids)], dtype=np.int64)
    if ids.start_header is None or ids.end_header is None or ids.eot is None:
        raise ConfigError(
            "data.template is chat, but the model has no header and end-of-turn ids: set data.template=plain."
        )
    user, turn, assistant, newline = (
        encode_text(piece, tokenizer, ids) for piece in ("user", f"\n{content.strip()}", "assistant", "\n")
    )
    header = ids.start_header, ids.end_header
    tokens = [*bos, header[0], *user, header[1], *turn, ids.eot, header[0], *assistant, header[1], *newline]
    return np.array(tokens, dtype=np.int64)


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
