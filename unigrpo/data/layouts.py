"""Token layouts: where text and image stand in a prompt of each task, and the sequences of text training.

Source: MMaDA, training/prompting_utils.py, as measured in tests/golden.
"""

from collections.abc import Sequence

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.protocols import SpecialIds
from unigrpo.errors import ConfigError


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
