"""What a run of supervised fine-tuning mixes: batches of each kind of example, and what its loss counts."""

from dataclasses import dataclass, replace

from unigrpo.algo.random import key
from unigrpo.config import DataSection, SFTConfig, StreamSection, streams_of
from unigrpo.data.load import Example, load_examples
from unigrpo.data.protocols import Images
from unigrpo.errors import ConfigError, DataError
from unigrpo.models.load import Policy
from unigrpo.progress import console
from unigrpo.sft.batches import BatchStream


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of example: how it is batched, in training and held out, and the factor of its loss."""

    batches: BatchStream
    held_out: BatchStream | None
    coefficient: float


def load_streams(config: SFTConfig, policy: Policy, images: Images | None) -> dict[str, Stream]:
    """Loads the examples of all streams, by name; a run without `streams` has one, of no name.

    Raises:
        ConfigError: a stream has fewer examples than a batch.
        DataError: an example cannot be used.
    """
    return {name: _load(config, name, section, policy, images) for name, section in streams_of(config).items()}


def _load(config: SFTConfig, name: str, section: StreamSection, policy: Policy, images: Images | None) -> Stream:
    prefix = f"streams.{name}." if name else ""

    def load(data: DataSection) -> list[Example]:
        pads = config.model.legacy_visible_pads
        examples = load_examples(data, policy.tokenizer, policy.ids, images=images, visible_pads=pads)
        _check_thoughts(examples, section.pad_to, prefix or "sft.")
        return examples

    examples = load(section.data)
    if len(examples) < section.batch_size:
        raise ConfigError(
            f"{prefix or 'sft.'}batch_size is {section.batch_size}, but the data has {len(examples)} examples, and no "
            f"batch holds one twice: set it to {len(examples)} or less, or give more data."
        )
    _report_cuts(examples, config.sft.max_length, name)
    seed = key(config.seed, name) if name else config.seed
    shared = {"seed": seed, "batch_size": section.batch_size, "pad_to": section.pad_to}
    # What is held out is judged as it will be used, with its prompt.
    whole = replace(config.sft, condition_dropout=0.0)
    held_out = BatchStream(load(section.held_out), whole, policy.ids, **shared) if section.held_out else None
    return Stream(BatchStream(examples, config.sft, policy.ids, **shared), held_out, section.coefficient)


def _check_thoughts(examples: list[Example], pad_to: int | None, prefix: str) -> None:
    """A drawing stands behind a thought of fixed length, so that a longer one has no place."""
    for example in examples:
        if example.task == "think_image" and pad_to is not None and len(example.response_tokens) > pad_to:
            raise DataError(
                f"{example.id}: the thought has {len(example.response_tokens)} tokens, but {prefix}pad_to is {pad_to}, "
                "behind which the image stands: raise it, and rollout.gen_length with it."
            )


def _report_cuts(examples: list[Example], limit: int, name: str) -> None:
    """Says how many responses lose their end to the length limit: their model learns from them not to stop."""
    cut = sum(example.text_length + len(example.response_tokens) > limit for example in examples)
    if cut:
        of = f" of {name}" if name else ""
        console.print(f"{cut} of {len(examples)} responses{of} are cut at sft.max_length={limit}.", highlight=False)
