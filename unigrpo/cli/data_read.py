"""Reading the data of a config, to say what it is like."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from unigrpo.config import (
    DataSection,
    EvalConfig,
    ImageTokenizerSection,
    SFTConfig,
    StreamSection,
    TrainConfig,
    sets_of,
    streams_data,
    streams_of,
    tasks_of,
)
from unigrpo.data.load import texts
from unigrpo.data.shards.broken import Skipped, Tally
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.prepare import Draft, Preparer
from unigrpo.data.shards.units import units_of
from unigrpo.data.sight import check_images
from unigrpo.errors import CheckpointError, DataError
from unigrpo.models.ids import IdTable
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import text_side
from unigrpo.progress import console, progress

WORKERS = 2


@dataclass
class Report:
    """One data set of a config, and what was found in it."""

    key: str
    """Where it stands in the config."""
    section: DataSection
    stream: StreamSection | None
    """The stream of supervised fine-tuning that it belongs to; None for prompts."""
    tokenizer: PreTrainedTokenizerBase
    ids: IdTable
    images: "BlankImages | None"
    tally: Tally
    prompts: list[int] = field(default_factory=list)
    """Tokens of each prompt, without an image."""
    responses: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    samples: list[Draft] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Why the data could not be trained on."""


@dataclass(frozen=True)
class BlankImages:
    """An image tokenizer that sees nothing: every picture has the code 0, as many times as the real one gives codes."""

    codebook_size: int
    resolution: int
    tokens: int
    fingerprint: str

    @classmethod
    def of(cls, section: ImageTokenizerSection) -> "BlankImages":
        """Take the sizes of a run's tokenizer, or of the published one where that is not here yet."""
        try:
            real = ImageTokenizer.load(section)
        except CheckpointError as error:
            console.print(f"{error} Sizes of the published tokenizer are taken.", markup=False, highlight=False)
            return cls(8192, section.resolution, (section.resolution // 16) ** 2, "")
        return cls(real.codebook_size, real.resolution, real.tokens, real.fingerprint)

    def encode(self, images) -> list[np.ndarray]:
        """Return codes of nothing."""
        return [np.zeros(self.tokens, np.int64) for _ in images]


def reports_of(config: SFTConfig | TrainConfig | EvalConfig, limit: int | None, samples: int) -> list[Report]:
    """Read every data set of a config, each to its end or to `limit`.

    Raises:
        CheckpointError: the model's folder has no tokenizer.
        ConfigError: the data does not go with the model.
    """
    parts = list(_parts(config))
    sees = any(section.task != "text" for _, section, _ in parts)
    images = BlankImages.of(config.model.image_tokenizer) if sees else None
    words = _words(parts) if config.model.preset else None
    tokenizer, ids = text_side(replace(config.model, image_tokenizer=ImageTokenizerSection()), words)
    if config.model.preset and images:
        ids = replace(ids, image_offset=ids.text_vocab, codebook_size=images.codebook_size)
    reports = []
    for key, section, stream in parts:
        tally = Tally(section.path or section.source, 1.0, f"{key}.")
        report = Report(key, section, stream, tokenizer, ids, images, tally)
        check_images(section, ids, images)
        try:
            _read(report, limit, samples)
        except DataError as error:
            report.faults.append(str(error))
        reports.append(report)
    return reports


def _parts(
    config: SFTConfig | TrainConfig | EvalConfig,
) -> Iterator[tuple[str, DataSection, StreamSection | None]]:
    """Every data set of a config, where it stands, and the stream it belongs to."""
    if isinstance(config, SFTConfig):
        for name, stream in streams_of(config).items():
            prefix = f"streams.{name}." if name else ""
            for part, section in sets_of(stream).items():
                yield f"{prefix}mix.{part}.data" if part else f"{prefix}data", section, stream
            if stream.held_out:
                yield f"{prefix}held_out", stream.held_out, replace(stream, mix={}, data=stream.held_out)
        return
    for name, task in tasks_of(config).items():
        yield f"tasks.{name}.data" if name else "data", task.data, None
        if task.eval:
            yield _eval_key(name), task.eval, None


def _eval_key(name: str) -> str:
    return f"tasks.{name}.eval" if name else "eval.data"


def _words(parts: list[tuple[str, DataSection, StreamSection | None]]) -> list[str]:
    """What the tokenizer of a preset learns from; what cannot be read is said later."""
    found = [""]
    for _, section, _ in parts:
        try:
            found += texts(replace(section, max_broken=1.0))
        except DataError:
            continue
    return found


def _read(report: Report, limit: int | None, samples: int) -> None:
    section, most = report.section, min(filter(None, (limit, report.section.limit)), default=None)
    require = (
        None if report.stream else ("answer",) * (section.task == "text") + ("image",) * (section.task == "understand")
    )
    resolution = report.images.resolution if report.images else None
    maker = Preparer.of(section, report.tokenizer, report.ids, resolution, require)
    units = units_of(section)
    pool = Pool(min(WORKERS, len(units) - 1))
    seen: set[str] = set()
    with closing(pool), progress(f"Reading {report.key}", len(units)) as bar:
        for _, items in pool.in_order(pool.add(maker), units):
            for item in items:
                report.tally.add(item.value)
                if not isinstance(item.value, Skipped):
                    _count(report, item.value, samples, seen)
                if report.tally.seen == most:
                    return _judge(report)
            bar.update({})
    return _judge(report)


def _count(report: Report, draft: Draft, samples: int, seen: set[str]) -> None:
    report.prompts.append(len(draft.tokens))
    report.responses.append(len(draft.response) if report.stream else 0)
    if draft.size:
        report.sizes.append(draft.size)
    if len(report.samples) < samples:
        report.samples.append(draft)
    in_memory = report.stream is None or not streams_data(report.stream)
    if in_memory and draft.id in seen:
        report.faults.append(f"the id {draft.id!r} comes twice. Make ids unique, or drop them.")
    if in_memory:
        seen.add(draft.id)


def _judge(report: Report) -> None:
    """Say what would stop a run: too much that is broken, nothing that can be used, or less than a batch."""
    tally, most = report.tally, report.section.max_broken
    if tally.broken > most * tally.seen:
        report.faults += [*tally.messages, f"{tally.broken} of {tally.seen} rows are broken; max_broken is {most:g}."]
    if not report.prompts:
        report.faults.append(f"no row is left of {tally.seen}: {dict(tally.filtered)}.")
    elif report.stream and not report.stream.mix and len(report.prompts) < report.stream.batch_size:
        report.faults.append(f"{len(report.prompts)} examples are fewer than batch_size={report.stream.batch_size}.")
