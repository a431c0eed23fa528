"""What a run of supervised fine-tuning mixes: batches of each kind of example, and what its loss counts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from unigrpo.algo.random import key
from unigrpo.config import DataSection, SFTConfig, StreamSection, sets_of, streams_data, streams_of
from unigrpo.data.load import Example, load_examples
from unigrpo.data.protocols import Images
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.prepare import Preparer
from unigrpo.data.shards.stream import SetStream, State
from unigrpo.data.shards.windows import Windows
from unigrpo.data.sight import check_images
from unigrpo.errors import ConfigError
from unigrpo.models.ids import IdTable
from unigrpo.progress import console
from unigrpo.sft.batches import check_thought
from unigrpo.sft.kept import BatchStream
from unigrpo.sft.streamed import StreamedBatches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Stream:
    """One kind of example: how it is batched, in training and held out."""

    batches: BatchStream | StreamedBatches
    held_out: BatchStream | None = None


class Reader(Protocol):
    """What reading takes of a policy."""

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Its tokenizer."""
        ...

    @property
    def ids(self) -> IdTable:
        """Its ids."""
        ...


@dataclass(frozen=True)
class TextSide:
    """What reading takes of a policy that is elsewhere."""

    tokenizer: "PreTrainedTokenizerBase"
    ids: IdTable


def load_streams(config: SFTConfig, policy: Reader, images: Images | None) -> dict[str, Stream]:
    """Loads the examples of all streams, by name; a run without `streams` has one, of no name.

    Raises:
        ConfigError: a stream has fewer examples than a batch.
        DataError: an example cannot be used.
    """
    streams = streams_of(config)
    pool = Pool(config.sft.workers if any(map(streams_data, streams.values())) else 0)
    own = {name: _with_length(config, section) for name, section in streams.items()}
    return {name: _load(own[name], name, section, policy, images, pool) for name, section in streams.items()}


def _with_length(config: SFTConfig, section: StreamSection) -> SFTConfig:
    """The settings of a run, with a stream's own limit of length."""
    return replace(config, sft=replace(config.sft, max_length=section.max_length or config.sft.max_length))


def start_streams(streams: Mapping[str, Stream], found: Mapping[str, State]) -> None:
    """Goes on from what a checkpoint holds of each stream; one that it does not name reads its data from the beginning.

    The first samples are read now, so that most of what may be wrong with the data is said before a run is opened.

    Raises:
        ConfigError: the data is not what it was, or has fewer examples than a batch.
        DataError: it cannot be read.
    """
    for name, stream in streams.items():
        if isinstance(stream.batches, StreamedBatches):
            if name in found:
                stream.batches.restore(found[name])
            stream.batches.start()


def waited(streams: Mapping[str, Stream]) -> float:
    """Seconds that training has waited for data that is streamed; all streams of a run share the processes."""
    streamed = (stream.batches for stream in streams.values() if isinstance(stream.batches, StreamedBatches))
    return max((batches.waited for batches in streamed), default=0.0)


def close_streams(streams: Mapping[str, Stream]) -> None:
    """Ends the processes that read data."""
    for stream in streams.values():
        if isinstance(stream.batches, StreamedBatches):
            stream.batches.close()


def _streamed(
    config: SFTConfig, name: str, section: StreamSection, policy: Reader, images: Images | None, pool: Pool
) -> StreamedBatches:
    """The batches of a stream that is read while it is used."""
    prefix = f"streams.{name}." if name else ""
    data, seed = sets_of(section), _seed(config, name)
    size = max(one.buffer for one in data.values())
    weights = {part: entry.weight for part, entry in section.mix.items()} or dict.fromkeys(data, 1.0)
    sets = {}
    for part, one in data.items():
        check_images(one, policy.ids, images)
        maker = Preparer.of(one, policy.tokenizer, policy.ids, images.resolution if images else None)
        share = weights[part] / sum(weights.values())
        where = f"{prefix}mix.{part}.data." if part else f"{prefix}data."
        sets[part] = SetStream(one, maker, pool, seed=key(seed, part, one.seed), ahead=int(size * share), key=where)
    shuffle = any(one.shuffle for one in data.values())
    batches = Windows(sets, weights, batch_size=section.batch_size, size=size, seed=seed, shuffle=shuffle, key=prefix)
    return StreamedBatches(batches, pool, seed=seed)


def _seed(config: SFTConfig, name: str) -> int:
    return key(config.seed, name) if name else config.seed


def _load(
    config: SFTConfig, name: str, section: StreamSection, policy: Reader, images: Images | None, pool: Pool
) -> Stream:
    prefix = f"streams.{name}." if name else ""

    def load(data: DataSection) -> list[Example]:
        pads = config.model.legacy_visible_pads
        examples = load_examples(data, policy.tokenizer, policy.ids, images=images, visible_pads=pads)
        for example in examples:
            check_thought(example, section.pad_to, prefix or "sft.")
        return examples

    shared = {"seed": _seed(config, name), "batch_size": section.batch_size}
    held_out = BatchStream(load(section.held_out), **shared) if section.held_out else None
    if streams_data(section):
        return Stream(_streamed(config, name, section, policy, images, pool), held_out)
    examples = load(section.data)
    if len(examples) < section.batch_size:
        raise ConfigError(
            f"{prefix or 'sft.'}batch_size is {section.batch_size}, but the data has {len(examples)} examples, and no "
            f"batch holds one twice: set it to {len(examples)} or less, or give more data."
        )
    _report_cuts(examples, config.sft.max_length, name)
    return Stream(BatchStream(examples, **shared), held_out)


def _report_cuts(examples: list[Example], limit: int, name: str) -> None:
    """Says how many responses lose their end to the length limit: their model learns from them not to stop."""
    cut = sum(example.text_length + len(example.response_tokens) > limit for example in examples)
    if cut:
        of = f" of {name}" if name else ""
        console.print(f"{cut} of {len(examples)} responses{of} are cut at sft.max_length={limit}.", highlight=False)
