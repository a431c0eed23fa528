"""The loop of supervised fine-tuning: same engine, checkpoints and tracker as UniGRPO."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from unigrpo import checkpoint
from unigrpo.config import SFTConfig
from unigrpo.engine import Engine
from unigrpo.models.load import Policy, save_policy
from unigrpo.progress import console, progress
from unigrpo.sft.course import Course
from unigrpo.sft.ema import RunningMean
from unigrpo.sft.ema import write as write_means
from unigrpo.sft.streams import Stream, waited
from unigrpo.state import Snapshot, restore_state
from unigrpo.stopping import stoppable
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics

POSITIONS = "data"
"""In the state of a checkpoint: where streamed data goes on."""


def sft(
    config: SFTConfig,
    policy: Policy,
    streams: Mapping[str, Stream],
    tracker: Tracker,
    run: Path,
    resume_from: Path | None = None,
) -> Metrics:
    """Trains to the last step and writes the model to `run/model`.

    Raises:
        StoppedError: SIGTERM came; what had been learned is saved.
    """
    engine, course = Engine(policy.model, config.optim, config.steps), Course.of(config, streams)
    mean = RunningMean(policy.model, config.sft.ema) if config.sft.ema else None
    if resume_from:
        restore_state(policy, engine, resume_from)
        if mean:
            mean.load(resume_from)
    console.print(course.describe(config), highlight=False, soft_wrap=True)

    def good_enough(metrics: Metrics) -> bool:
        return metrics.get("sft/held_out_loss", float("inf")) < (config.stop_below or 0)

    def save() -> Callable[[], Path]:
        taken, means = Snapshot.of(policy, engine), mean.state() if mean else {}
        state = {POSITIONS: course.positions(engine.step_count)}

        def write(folder: Path) -> None:
            taken.write(folder)
            if means:
                write_means(means, folder)

        return partial(checkpoint.save, run, engine.step_count, write, state, config.checkpoint.keep)

    def measured() -> Metrics:
        found = course.held_out_losses(policy)
        if mean and found:
            with mean.used():
                found["sft/held_out_loss_ema"] = course.held_out_losses(policy)["sft/held_out_loss"]
        return found

    metrics: Metrics = {}
    ended = False
    if resume_from and engine.step_count % config.held_out_every == 0:
        ended = good_enough(measured())
    with (
        progress("SFT", config.steps, engine.step_count) as bar,
        stoppable(run, engine.step_count, save, config.checkpoint.background) as saves,
    ):
        while engine.step_count < config.steps and not ended:
            started, waited_before = time.perf_counter(), waited(streams)
            found = engine.step(lambda: course.backward(policy, engine.step_count))
            if mean and not found["skipped"]:
                mean.update()
            optim = {f"optim/{name}": found.pop(name) for name in ("grad_norm", "lr", "skipped") if name in found}
            metrics = {f"sft/{name}": value for name, value in found.items()} | optim
            done = engine.step_count
            ended = done == config.steps
            if ended or done % config.held_out_every == 0:
                metrics |= measured()
                ended |= good_enough(metrics)
            times = {"time/step": time.perf_counter() - started, "time/data": waited(streams) - waited_before}
            tracker.log(done, metrics | times)
            bar.update(metrics)
            if ended or done % config.checkpoint.every == 0:
                saves.now(done)
            saves.stop_if_asked(done)
    checkpoint.publish(run / "model", partial(save_policy, policy))
    if mean:
        with mean.used():
            checkpoint.publish(run / "model-ema", partial(save_policy, policy))
    return metrics
