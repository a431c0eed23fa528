"""`unigrpo sft`."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from unigrpo import checkpoint
from unigrpo.cli.again import tell_of_other_layout, until_done
from unigrpo.config import SFTConfig, sets_of, streams_of
from unigrpo.config.load import flatten
from unigrpo.data.load import texts
from unigrpo.device import resolve_device
from unigrpo.errors import OutOfMemoryError
from unigrpo.machine import set_threads
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy, load_policy, text_side
from unigrpo.progress import console, describe
from unigrpo.runs import check_run, open_run
from unigrpo.sft.course import Course
from unigrpo.sft.learner import MICRO_BATCH, SFTLearner
from unigrpo.sft.loop import POSITIONS, Alone, Trains, sft
from unigrpo.sft.streams import Stream, TextSide, close_streams, load_streams, start_streams
from unigrpo.tracking import Tracker, check_trackers
from unigrpo.types import Metrics


def run(config: SFTConfig) -> int:
    """Fine-tunes as the config says; prints where the model is."""
    metrics = sft_from(config)
    print(f"{config.output}/model  {describe(metrics, ('sft/loss', 'sft/held_out_loss'))}")
    return 0


@dataclass
class Run:
    """What all attempts at a run have in common."""

    words: list[str] | None
    """Of which the tokenizer of a preset is made."""
    text: Policy | TextSide
    images: ImageTokenizer | None
    streams: Mapping[str, Stream]
    opened: bool = False
    """Whether the folder is this run's: before, it may hold one that is to be replaced."""


def sft_from(config: SFTConfig) -> Metrics:
    """Checks the data, loads the model and trains. Nothing is written before all checks have passed."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, config.resume, config.overwrite)
    tell_of_other_layout(config)
    check_trackers(config.tracking)
    run = _read(config)
    try:
        return until_done(config, partial(_attempt, run), lambda: run.opened, _smaller)
    finally:
        close_streams(run.streams)


def _read(config: SFTConfig) -> Run:
    """The data, and of the model what reading takes: all of it where it is trained in this process."""
    streams = streams_of(config).values()
    data = [section for stream in streams for section in sets_of(stream).values()]
    words = [text for section in data for text in texts(section)] if config.model.preset else None
    if config.cluster.backend == "ray":
        text: Policy | TextSide = TextSide(*text_side(config.model, words))
    else:
        text = load_policy(config.model, words, config.seed)
    sees = any(stream.data.task != "text" for stream in streams)
    device = resolve_device(config.model.device)
    images = ImageTokenizer.load(config.model.image_tokenizer, device) if sees else None
    return Run(words, text, images, load_streams(config, text, images))


def _smaller(config: SFTConfig, error: OutOfMemoryError) -> SFTConfig:
    """The config with half of what did not fit.

    Raises:
        OutOfMemoryError: one row is too much, or the model is not a worker's, to be started again.
    """
    if error.key != MICRO_BATCH or error.size == 1 or config.cluster.backend == "local":
        raise error
    print(f"unigrpo: trying {MICRO_BATCH}={error.size // 2}", file=sys.stderr)
    return replace(config, sft=replace(config.sft, micro_batch=error.size // 2))


def _attempt(run: Run, config: SFTConfig, lost: int) -> Metrics:
    found = checkpoint.latest(Path(config.output)) if config.resume else None
    folder, state = found or (None, {})
    step = state.get("step", 0)
    start_streams(run.streams, state.get(POSITIONS, {}))
    with _started(config, run, folder, lost) as trainee:
        output = open_run(config.output, config, config.resume, config.overwrite)
        run.opened = True
        with closing(Tracker(output, config.tracking, output.name, flatten(config))) as tracker:
            tracker.rewind(step or -1)
            return sft(config, trainee, tracker, output, step)


@contextmanager
def _started(config: SFTConfig, run: Run, resume_from: Path | None, lost: int) -> Iterator[Trains]:
    """What learns, in this process or in Ray actors."""
    course = Course.of(config, run.streams, run.images)
    console.print(course.describe(config), highlight=False, soft_wrap=True)
    if isinstance(run.text, Policy):
        yield Alone(SFTLearner.build(config, run.text, run.images, resume_from), course)
        return
    from actors.sft import started

    with started(config, course, run.words, resume_from, lost) as trainee:
        yield trainee
