"""A byte-level BPE tokenizer for models made from scratch, with the special tokens of the published one."""

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from unigrpo.errors import ConfigError
from unigrpo.models.ids import TOKENS, IdTable

RESERVED = ("soi", "eoi", "t2i", "mmu", "r2i", "ipad")
"""Ids that stand for no text: their strings are `<|reserved_token_N|>`, as in the published tokenizer."""

_STRINGS = TOKENS | {name: f"<|reserved_token_{i}|>" for i, name in enumerate(RESERVED)}


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a tokenizer that encodes any text: NFC, every digit by itself, bytes below words, no unknown token.

    Args:
        texts: what the merges are learned from; the same texts give the same tokenizer.
        vocab_size: most entries, the 256 bytes and the special tokens included. Few texts may give fewer.

    Raises:
        ConfigError: `vocab_size` leaves no room for the bytes and the special tokens.
    """
    least = 256 + len(_STRINGS)
    if vocab_size < least:
        raise ConfigError(
            f"model.vocab_size is {vocab_size}, but 256 bytes and {len(_STRINGS)} special tokens need {least}: "
            f"set it to {least} or more."
        )
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = BpeTrainer(
        vocab_size=vocab_size - len(_STRINGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in _STRINGS.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=TOKENS["bos"],
        eos_token=TOKENS["eos"],
        pad_token=TOKENS["eos"],
        clean_up_tokenization_spaces=False,
    )


def ids_of(tokenizer: PreTrainedTokenizerBase, codebook_size: int = 0) -> IdTable:
    """Build the id table of a tokenizer made by `train_tokenizer`; image codes, if any, follow its ids."""
    vocabulary = tokenizer.get_vocab()
    ids = {name: vocabulary[token] for name, token in _STRINGS.items()}
    return IdTable(
        **ids,
        pad=ids["eos"],
        text_vocab=len(tokenizer),
        image_offset=len(tokenizer) if codebook_size else None,
        codebook_size=codebook_size,
    )
