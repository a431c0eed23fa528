"""`unigrpo train`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rewards.tasks import TaskScorer
from rollout.colocated import Colocated, load_images, texts_of
from unigrpo import checkpoint, gallery, report
from unigrpo.cli.again import tell_of_other_layout, until_done
from unigrpo.cli.prompts import held_out_prompts, training_prompts
from unigrpo.config import TrainConfig, tasks_of
from unigrpo.config.load import flatten
from unigrpo.data.stream import MixedStream
from unigrpo.errors import DataError, OutOfMemoryError
from unigrpo.logged import Piece
from unigrpo.machine import set_threads, usage
from unigrpo.models.ids import IdTable
from unigrpo.models.load import text_side
from unigrpo.progress import SHOWN, describe
from unigrpo.runs import check_run, open_run
from unigrpo.scores import MICRO_BATCH
from unigrpo.tracking import Tracker, check_trackers
from unigrpo.train import RunState, Workers, train
from unigrpo.types import Metrics, Prompt


def run(config: TrainConfig) -> int:
    """Trains as the config says; prints where the run is."""
    metrics = train_from(config)
    print(f"{config.output}  {describe(metrics, SHOWN)}")
    return 0


@contextmanager
def _started(config: TrainConfig, run: "Run", resume_from: Path | None, lost: int) -> Iterator[Workers]:
    """The workers, in this process or in Ray actors."""
    if config.cluster.backend == "ray":
        from actors.cluster import started

        with started(config, run.ids, resume_from, lost) as workers:
            yield workers
        return
    policy = Colocated.build(config, resume_from=resume_from)
    yield Workers(sampler=policy.sampler, scorer=run.scorer, learner=policy.learner, ids=run.ids, report=_memory)


def _memory() -> Metrics:
    return {f"memory/{name}": used for name, used in usage().items()}


@dataclass
class Run:
    """What all attempts at a run have in common."""

    prompts: MixedStream
    held_out: Sequence[Prompt]
    scorer: TaskScorer
    ids: IdTable
    piece: Piece
    opened: bool = False
    """Whether the folder is this run's: before, it may hold one that is to be replaced."""


def _smaller(config: TrainConfig, error: OutOfMemoryError) -> TrainConfig:
    """The config with half of what did not fit, where that was not tried already.

    Raises:
        OutOfMemoryError: one row is too much.
    """
    if error.key != MICRO_BATCH or error.size == 1:
        raise error
    print(f"unigrpo: trying {MICRO_BATCH}={error.size // 2}", file=sys.stderr)
    return replace(
        config, algo=replace(config.algo, likelihood=replace(config.algo.likelihood, micro_batch=error.size // 2))
    )


def _attempt(run: Run, config: TrainConfig, lost: int) -> Metrics:
    found = checkpoint.latest(Path(config.output)) if config.resume else None
    state = RunState(**found[1]) if found else RunState()
    with _started(config, run, found[0] if found else None, lost) as workers:
        folder = open_run(config.output, config, config.resume, config.overwrite)
        run.opened = True
        with closing(Tracker(folder, config.tracking, folder.name, flatten(config), run.piece)) as tracker:
            tracker.rewind(state.step or -1)
            return train(config, workers, run.prompts, run.held_out, tracker, folder, state)


def train_from(config: TrainConfig) -> Metrics:
    """Checks data and rewards, starts the workers, and trains. Nothing is written before all checks have passed."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, config.resume, config.overwrite)
    tell_of_other_layout(config)
    check_trackers(config.tracking)
    tokenizer, ids = text_side(config.model, texts_of(config) if config.model.preset else None)
    tasks = tasks_of(config)
    scorer = TaskScorer({name: task.rewards for name, task in tasks.items()})
    images = load_images(config)
    prompts, asked = training_prompts(config, tokenizer, ids, images)
    held_out = held_out_prompts(
        {name: task.eval for name, task in tasks.items()},
        tokenizer,
        ids,
        images,
        config.eval.limit,
        config.model.legacy_visible_pads,
    )
    scorer.check([*asked, *held_out])
    run = Run(prompts, held_out, scorer, ids, lambda tokens: str(tokenizer.decode(tokens)))
    metrics = until_done(config, partial(_attempt, run), lambda: run.opened, _smaller)
    run_folder = Path(config.output)
    keys = [f"eval/{name}/accuracy" for name in tasks if len(tasks) > 1] or report.KEYS
    try:
        report.curve({run_folder.name: run_folder}, run_folder / "curve.png", keys if held_out else report.KEYS)
    except DataError as error:  # no step had a reward that was known
        print(f"unigrpo: no curve: {error}", file=sys.stderr)
    gallery.before_after(run_folder, run_folder / "before_after.png")
    return metrics
