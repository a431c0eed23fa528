"""The special ids of a model, kept as an explicit table, and the ids that each task may sample and score."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from unigrpo.errors import CheckpointError
from unigrpo.types import DRAWING, Support, Task

TOKENS = {
    "bos": "<|startoftext|>",
    "eos": "<|endoftext|>",
    "mask": "<|mdm_mask|>",
    "start_header": "<|start_header_id|>",
    "end_header": "<|end_header_id|>",
    "eot": "<|eot_id|>",
}
"""The tokenizer's string of an id. The other ids are integers only: their strings stay `<|reserved_token_N|>`."""


@dataclass(frozen=True, kw_only=True)
class IdTable:
    """The special ids of a model; None where the model has no such token."""

    mask: int
    eos: int
    pad: int
    text_vocab: int
    """Ids of the tokenizer, which is `len(tokenizer)`: text is `0 <= id < text_vocab`."""
    bos: int | None = None
    start_header: int | None = None
    end_header: int | None = None
    eot: int | None = None
    soi: int | None = None
    eoi: int | None = None
    t2i: int | None = None
    mmu: int | None = None
    r2i: int | None = None
    ipad: int | None = None
    """The left pad of a text-to-image prompt."""
    image_offset: int | None = None
    """The id of image code 0, which is `len(tokenizer)`."""
    codebook_size: int = 0
    """Image codes; 0 for a model of text alone."""

    @classmethod
    def from_config(cls, config: Any) -> "IdTable":
        """Read the ids that a model's config holds.

        Args:
            config: a LladaConfig or MMadaConfig. Its `ids` come first; without them, a published vocabulary size stands
                for the published ids; else they are derived from `mask_token_id`, `eos_token_id` and `codebook_size`.
        """
        if config.ids is not None:
            return _from_dict(config.ids, _where(config))
        published = PUBLISHED.get((config.model_type, config.vocab_size))
        return published or _derive(config)

    def as_dict(self) -> dict[str, int]:
        """The ids that are set, as they are written to config.json."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_LLADA = IdTable(
    bos=126080,
    eos=126081,
    pad=126081,
    mask=126336,
    start_header=126346,
    end_header=126347,
    eot=126348,
    text_vocab=126349,
)
_MMADA = replace(
    _LLADA,
    soi=126084,
    eoi=126085,
    t2i=126088,
    mmu=126089,
    ipad=126093,
    r2i=126094,
    image_offset=126349,
    codebook_size=8192,
)
PUBLISHED = {("llada", 126464): _LLADA, ("mmada", 134656): _MMADA}
"""The ids of the published checkpoints, by model type and vocabulary size; their config.json does not hold them."""


def supports(ids: IdTable, task: Task) -> tuple[Support, ...]:
    """Return the ids that a response of this task may hold, shared by the sampler and the likelihood.

    A drawing has image codes alone; a thought and a drawing has text and image codes, each among their own.
    """
    if task not in DRAWING:
        return (text_support(ids),)
    if ids.image_offset is None:
        raise CheckpointError(f"the model has no image codes, which the task `{task}` needs: use an MMaDA model.")
    codes = Support(start=ids.image_offset, stop=ids.image_offset + ids.codebook_size)
    return (codes,) if task == "image" else (text_support(ids), codes)


def text_support(ids: IdTable) -> Support:
    """Return the ids of text, which stop at `text_vocab`: no image codes, nor rows that no token uses."""
    never = {ids.mask, ids.ipad, ids.pad} - {None, ids.eos}
    return Support(start=0, stop=ids.text_vocab, banned=tuple(sorted(never)))


def check_tokenizer(ids: IdTable, tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Raise a CheckpointError unless the tokenizer has as many ids as the table says, and the same special ids."""
    if len(tokenizer) != ids.text_vocab:
        codes = f" and image codes start at {ids.image_offset}" if ids.image_offset is not None else ""
        raise CheckpointError(
            f"{where}: the tokenizer has {len(tokenizer)} tokens, but text ids end at {ids.text_vocab}{codes}. "
            "Use the tokenizer the model was trained with, without added tokens, or correct `ids` in config.json."
        )
    vocabulary = tokenizer.get_vocab()
    for name, token in TOKENS.items():
        expected, found = getattr(ids, name), vocabulary.get(token)
        if None not in (expected, found) and expected != found:
            raise CheckpointError(
                f"{where}: the tokenizer's {token} is {found}, but the model's {name} id is {expected}. "
                "Use the tokenizer the model was trained with, or correct `ids` in config.json."
            )


def _from_dict(values: dict[str, Any], where: str) -> IdTable:
    """Build the table from config.json's `ids`, refusing names it does not have."""
    try:
        return IdTable(**values)
    except TypeError as error:
        raise CheckpointError(f"{where}: `ids` cannot be read ({error}).") from None


def _derive(config: Any) -> IdTable:
    """Take what a config without `ids` gives: an MMaDA of another size, for instance."""
    for name in ("mask_token_id", "eos_token_id"):
        if not isinstance(getattr(config, name, None), int):
            raise CheckpointError(f"{_where(config)}: `{name}` is missing: add it, or the whole table as `ids`.")
    codes = getattr(config, "codebook_size", None) or 0
    text_vocab = getattr(config, "llm_vocab_size", None) or config.vocab_size - codes
    pad = getattr(config, "pad_token_id", None)
    return IdTable(
        mask=config.mask_token_id,
        eos=config.eos_token_id,
        pad=config.eos_token_id if pad is None else pad,
        bos=getattr(config, "bos_token_id", None),
        text_vocab=text_vocab,
        image_offset=text_vocab if codes else None,
        codebook_size=codes,
    )


def _where(config: Any) -> str:
    return f"{config.name_or_path}/config.json" if config.name_or_path else "config.json"
