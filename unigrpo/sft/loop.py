"""The loop of supervised fine-tuning: same engine, checkpoints and tracker as UniGRPO. It knows nothing of Ray."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from unigrpo import checkpoint
from unigrpo.config import SFTConfig
from unigrpo.data.shards.stream import State
from unigrpo.machine import usage
from unigrpo.profiling import Recorder
from unigrpo.progress import progress
from unigrpo.sft.course import Course
from unigrpo.sft.learner import SFTLearner
from unigrpo.stopping import stoppable
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics

POSITIONS = "data"
"""In the state of a checkpoint: where streamed data goes on."""


class Trains(Protocol):
    """Whatever learns: a learner in this process, or actors that host one each."""

    @property
    def waited(self) -> float:
        """Seconds that learning has waited for data that is streamed."""
        ...

    def learn(self, step: int) -> Metrics:
        """Makes one optimiser step (0-based)."""
        ...

    def measure(self) -> Metrics:
        """The held-out losses; empty where nothing is held out."""
        ...

    def positions(self) -> dict[str, State]:
        """Where streamed data goes on after the last step that was made."""
        ...

    def snapshot(self) -> None:
        """Takes hold of model and optimiser as they are."""
        ...

    def write(self, folder: Path) -> None:
        """Writes the last snapshot; may be called from another thread while the rest goes on."""
        ...

    def export(self, folder: Path, mean: bool = False) -> None:
        """Writes a Hugging Face model folder, of the weights or of their running mean."""
        ...

    def report(self) -> Metrics:
        """What is to be said of the workers after each step, such as their memory."""
        ...


class Alone:
    """A learner in this process, and what it learns from."""

    def __init__(self, learner: SFTLearner, course: Course):
        self.learner, self.course, self.made = learner, course, 0
        self.snapshot, self.write, self.export = learner.snapshot, learner.write, learner.export

    @property
    def waited(self) -> float:
        """See `Trains`."""
        return self.course.waited

    def learn(self, step: int) -> Metrics:
        """See `Trains`."""
        self.made = step + 1
        return self.learner.learn(self.course.shares(step)[0])

    def measure(self) -> Metrics:
        """See `Trains`."""
        shares = self.course.held_out()
        return self.learner.measure(shares[0]) if shares else {}

    def positions(self) -> dict[str, State]:
        """See `Trains`."""
        return self.course.positions(self.made)

    def report(self) -> Metrics:
        """See `Trains`."""
        return {f"memory/{name}": used for name, used in usage().items()}


def sft(config: SFTConfig, trainee: Trains, tracker: Tracker, run: Path, step: int = 0) -> Metrics:
    """Trains to the last step and writes the model to `run/model`.

    Args:
        step: steps that are made, in a run that goes on.

    Raises:
        StoppedError: SIGTERM came; what had been learned is saved.
    """
    done = step

    def good_enough(metrics: Metrics) -> bool:
        return metrics.get("sft/held_out_loss", float("inf")) < (config.stop_below or 0)

    def save() -> Callable[[], Path]:
        trainee.snapshot()
        return partial(
            checkpoint.save, run, done, trainee.write, {POSITIONS: trainee.positions()}, config.checkpoint.keep
        )

    metrics: Metrics = {}
    ended = done > 0 and done % config.held_out_every == 0 and good_enough(trainee.measure())
    with (
        progress("SFT", config.steps, done) as bar,
        stoppable(run, done, save, config.checkpoint.background) as saves,
        Recorder(config.tracking, run, done, config.cluster.backend == "local") as recorder,
    ):
        while done < config.steps and not ended:
            recorder.at(done)
            started, waited_before = time.perf_counter(), trainee.waited
            metrics = trainee.learn(done)
            done += 1
            ended = done == config.steps
            if ended or done % config.held_out_every == 0:
                metrics |= trainee.measure()
                ended |= good_enough(metrics)
            times = {"time/step": time.perf_counter() - started, "time/data": trainee.waited - waited_before}
            tracker.log(done, metrics | times | trainee.report())
            recorder.took(done - 1, times)
            bar.update(metrics)
            if ended or done % config.checkpoint.every == 0:
                saves.now(done)
            saves.stop_if_asked(done)
    checkpoint.publish(run / "model", trainee.export)
    if config.sft.ema:
        checkpoint.publish(run / "model-ema", partial(trainee.export, mean=True))
    return metrics
