"""UniGRPO's loop: sample, score, learn, hand over the weights, log. It knows nothing of Ray."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from unigrpo import checkpoint
from unigrpo.ahead import Ahead
from unigrpo.batch import Batch, make_batches
from unigrpo.config import TrainConfig, tasks_of
from unigrpo.data.stream import MixedStream
from unigrpo.errors import TrainingError
from unigrpo.evaluate import Samples, Scores, evaluate, solved_by
from unigrpo.failing import Failing
from unigrpo.mismatch import check_mismatch, mismatch
from unigrpo.models.ids import IdTable
from unigrpo.profiling import Recorder
from unigrpo.progress import SHOWN, progress
from unigrpo.stopping import stoppable
from unigrpo.summary import differ, summarize
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics, Prompt, Rollout, Scored


class Learns(Protocol):
    """Whatever updates the policy: an `unigrpo.learner.Learner`, or an actor that hosts one."""

    def learn(self, batches: Sequence[Batch]) -> Metrics:
        """Makes the inner updates on one step's batches."""
        ...

    def weights(self) -> Any:
        """What the sampler's `load` takes."""
        ...

    def snapshot(self) -> None:
        """Takes hold of model and optimiser as they are."""
        ...

    def write(self, folder: Path) -> None:
        """Writes the last snapshot; may be called from another thread while the rest goes on."""
        ...

    def export(self, folder: Path) -> None:
        """Writes a Hugging Face model folder."""
        ...


class SamplesFresh(Samples, Protocol):
    """A sampler that can be given new weights."""

    def stream(self, prompts: Sequence[Prompt], group_size: int, step: int | str) -> Iterator[list[Rollout]]:
        """Draws what `sample` draws, in parts as they are ready: whole groups, in any order."""
        ...

    def load(self, weights: Any) -> None:
        """Takes what the learner's `weights` gave."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workers:
    """The three that do the work, in this process or in actors, and the ids a batch is made with."""

    sampler: SamplesFresh
    scorer: Scores
    learner: Learns
    ids: IdTable
    report: Callable[[], Metrics]
    """What is to be said of the workers after each step, such as their memory."""
    with_behaviour: Callable[[Sequence[Batch]], list[Batch]] | None = None
    """Adds what the weights that sample say of the responses; of use where those that learn move on meanwhile."""


@dataclass(kw_only=True)
class RunState:
    """How far a run is; with the checkpoint's tensors, all that it takes to go on exactly."""

    step: int = 0
    position: dict[str, list[int]] = field(default_factory=dict)
    """Place in the stream of each task, and prompts drawn from it."""
    score: float | None = None
    """Held-out accuracy after exactly this step, if it was measured."""
    skipped: int = 0
    """Steps that changed no weights, as no reward of theirs was known."""


@contextmanager
def _clock(metrics: Metrics, name: str):
    started = time.perf_counter()
    yield
    metrics[f"time/{name}"] = metrics.get(f"time/{name}", 0.0) + time.perf_counter() - started


def collect(config: TrainConfig, workers: Workers, prompts: MixedStream, step: int, metrics: Metrics) -> list[Scored]:
    """Samples and scores one step's groups; with `dynamic_sampling`, refills those whose rewards are all equal."""
    size = config.rollout.group_size

    def draw(count: int, name: int | str) -> list[list[Scored]]:
        asked = prompts.take(count)
        place = {(prompt.stream, prompt.id): at for at, prompt in enumerate(asked)}

        def order(group: list[Scored]) -> int:
            prompt = group[0].rollout.prompt
            return place[prompt.stream, prompt.id]

        with _clock(metrics, "sample"):
            begun = [(part, workers.scorer.begin(part)) for part in workers.sampler.stream(asked, size, name)]
        with _clock(metrics, "score"):
            scored = workers.scorer.finish(begun)
        groups = [scored[at : at + size] for at in range(0, len(scored), size)]
        return sorted(groups, key=order)

    def alive(group: list[Scored]) -> bool:
        return differ([item.reward for item in group])

    groups = draw(config.rollout.prompts_per_step, step)
    for extra in range(config.algo.dynamic_sampling):
        groups.sort(key=alive, reverse=True)
        dead = sum(not alive(group) for group in groups)
        if not dead:
            break
        fresh = [group for group in draw(dead, f"{step}.{extra + 1}") if alive(group)]
        groups[len(groups) - dead : len(groups) - dead + len(fresh)] = fresh
    return [item for group in groups for item in group]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One step's rollouts, ready to be learned from."""

    scored: list[Scored]
    batches: list[Batch]
    metrics: Metrics
    position: dict[str, list[int]]
    """Place in the streams of prompts after this step."""


def draw(config: TrainConfig, workers: Workers, prompts: MixedStream, step: int) -> Drawn:
    """Samples, scores and batches one step; where the policy will have moved on, with what it says of them now."""
    metrics: Metrics = {}
    scored = collect(config, workers, prompts, step, metrics)
    with _clock(metrics, "batch"):
        batches = make_batches(scored, config.rollout.group_size, config.algo, seed=config.seed, ids=workers.ids)
    if config.rollout.max_staleness and workers.with_behaviour:
        with _clock(metrics, "behaviour"):
            batches = workers.with_behaviour(batches)
    return Drawn(scored=scored, batches=batches, metrics=metrics, position=prompts.position)


def train(
    config: TrainConfig,
    workers: Workers,
    prompts: MixedStream,
    held_out: Sequence[Prompt],
    tracker: Tracker,
    run: Path,
    state: RunState,
) -> Metrics:
    """Runs UniGRPO from `state` to the last step and returns the last evaluation, or the last step's metrics.

    Raises:
        StoppedError: SIGTERM came; what had been learned is saved.
        TrainingError: going on would hide what went wrong; `run/failed` holds what that step was made of.
    """
    last, metrics = {}, {}
    prompts.position = state.position
    steps = range(state.step, config.steps)

    def save() -> Callable[[], Path]:
        workers.learner.snapshot()
        kept = dict(vars(state))
        return partial(checkpoint.save, run, state.step, workers.learner.write, kept, config.checkpoint.keep)

    if state.step == 0:
        last = _evaluate(config, workers, held_out, tracker, state)
    failing = Failing(config.scoring)
    shown = (*SHOWN, *(f"eval/{name}/accuracy" for name in config.tasks))
    with (
        progress(run.name, config.steps, state.step, shown) as bar,
        stoppable(run, state.step, save, config.checkpoint.background) as saves,
        Ahead(
            partial(draw, config, workers, prompts), workers.sampler.load, config.rollout.max_staleness, steps
        ) as ahead,
        Recorder(config.tracking, run, steps.start, config.cluster.backend == "local") as recorder,
    ):
        for step in steps:
            recorder.at(step)
            started = time.perf_counter()
            drawn = ahead.get()
            metrics = drawn.metrics | {"time/wait": time.perf_counter() - started, "rollout/queue": float(ahead.ready)}
            saves.stop_if_asked(state.step)
            with _clock(metrics, "learn"):
                try:
                    failing.check(drawn.scored)
                    check_mismatch(mismatch(drawn.scored), config.rollout)
                    metrics |= workers.learner.learn(drawn.batches) if drawn.batches else {}
                except TrainingError as error:
                    saves.finish()
                    raise _dumped(error, run, workers, tracker, step, drawn.scored) from None
            with _clock(metrics, "sync"):
                ahead.give(workers.learner.weights())
            metrics |= summarize(drawn.scored, config.rollout.group_size) | mismatch(drawn.scored) | workers.report()
            metrics["rollout/staleness"] = _staleness(drawn.scored, step - state.skipped)
            state.skipped += not drawn.batches
            metrics["time/step"] = time.perf_counter() - started
            tracker.log(step + 1, metrics)
            bar.update(metrics)
            recorder.took(step, metrics)

            state.step, state.position, state.score = step + 1, drawn.position, None
            tracker.log_rollouts(state.step, drawn.scored)
            if held_out and _due(state.step, config.eval.every, config.steps):
                last = ahead.run(partial(_evaluate, config, workers, held_out, tracker, state))
                state.score = last.get("eval/accuracy")
                bar.update(last, advance=0)
            if _due(state.step, config.checkpoint.every, config.steps):
                saves.now(state.step)
            saves.stop_if_asked(state.step)
    checkpoint.publish(run / "model", workers.learner.export)
    return last or metrics


def _staleness(scored: Sequence[Scored], updates: int) -> float:
    """Updates between the weights that sampled a step's rollouts and those that learn from them, after so many."""
    return updates - sum(item.rollout.policy_version for item in scored) / len(scored)


def _dumped(
    error: TrainingError, run: Path, workers: Workers, tracker: Tracker, step: int, scored: Sequence[Scored]
) -> TrainingError:
    """Writes what the failed step was made of to `run/failed`; returns the error that says so."""

    def write(folder: Path) -> None:
        workers.learner.snapshot()
        workers.learner.write(folder)
        tracker.dump_rollouts(folder, step + 1, scored)

    folder = checkpoint.publish(run / "failed", write)
    return TrainingError(f"{error} {folder} holds the weights, the optimiser and the rollouts of step {step + 1}.")


def _due(step: int, every: int, last: int) -> bool:
    return every > 0 and (step % every == 0 or step == last)


def _evaluate(config: TrainConfig, workers: Workers, held_out: Sequence[Prompt], tracker: Tracker, state: RunState):
    if not held_out:
        return {}
    started = time.perf_counter()
    metrics, scored = evaluate(
        workers.sampler,
        workers.scorer,
        held_out,
        config.eval.samples,
        solved_by(tasks_of(config)),
        config.eval.temperature,
    )
    tracker.log(state.step, metrics | {"time/eval": time.perf_counter() - started})
    tracker.log_pictures(state.step, scored)
    return metrics
