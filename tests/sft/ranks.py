"""Supervised fine-tuning on several ranks of this machine, without Ray: what one of them runs."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from tests.actors.ranks import barrier
from unigrpo.config import SFTConfig, streams_of
from unigrpo.config.load import load_config
from unigrpo.data.load import texts
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_policy
from unigrpo.models.lora import merged_state
from unigrpo.sft.course import Course
from unigrpo.sft.learner import SFTLearner
from unigrpo.sft.streams import load_streams, start_streams

STEPS, SAVED = 3, 2
SETTINGS = [
    f"steps={STEPS}",
    "model={preset: tiny, vocab_size: 300, device: cpu, image_tokenizer: {preset: tiny, resolution: 8}}",
    "streams.add={batch_size: 4, one_of: say, pad_to: 4, data: {source: arithmetic, template: plain, size: 20}}",
    "streams.sum={batch_size: 2, one_of: say, coefficient: 0.5, data: {source: countdown, size: 9}}",
    "streams.draw={batch_size: 3, coefficient: 0.2, data: {task: image, source: shapes, streaming: true, size: 20, "
    "buffer: 6}}",
    "streams.ask={batch_size: 1, data: {task: understand, source: shapes, streaming: true, size: 9, buffer: 4}}",
    "streams.add.held_out={source: arithmetic, template: plain, split: test, size: 9}",
    "streams.draw.held_out={task: image, source: shapes, split: test, size: 5}",
    "sft={accumulation: 2, micro_batch: 2, max_length: 600, workers: 0, ema: 0.5, image_ends: true}",
    "optim={lr: 2e-3, warmup_steps: 1}",
]
"""Of the 12 to 16 rows of a step, no number of ranks above 1 has equally many forwards of equally many rows."""


@dataclass(frozen=True)
class Case:
    """How a model is trained; stage None is the engine of one process."""

    stage: int | None = None
    more: tuple[str, ...] = ()


def make(config: SFTConfig, case: Case, folder: Path | None = None) -> tuple[SFTLearner, Course]:
    """A learner, from a checkpoint if there is one, and what it learns from."""
    words = [text for stream in streams_of(config).values() for text in texts(stream.data)]
    policy = load_policy(config.model, words, config.seed)
    images = ImageTokenizer.load(config.model.image_tokenizer)
    course = Course.of(config, load_streams(config, policy, images), images)
    start_streams(course.streams, torch.load(folder / "data.pt") if folder else {})
    engine = {}
    if case.stage is not None:
        from actors.sharded import ShardedEngine
        from actors.upstream import Strategy

        class InPieces(Strategy):
            """Keeps no weight whole, however small it is."""

            def get_ds_train_config(self, *args, **kwargs):
                found = super().get_ds_train_config(*args, **kwargs)
                found["zero_optimization"]["stage3_param_persistence_threshold"] = 0
                return found

        # One that DeepSpeed keeps whole is another case of stage 3.
        kind = Strategy if "whole" in case.more else InPieces
        strategy = kind(case.stage, False, config.model.dtype, 0, 60)
        strategy.setup_distributed()
        engine = {"engine_of": partial(ShardedEngine, strategy), "shards_weights": case.stage == 3}
    return SFTLearner.build(config, policy, images, folder, **engine), course


def steps(learner: SFTLearner, course: Course, numbers: range) -> list[dict[str, float]]:
    """The metrics of some steps, of this rank's shares of them."""
    rank, world = learner.engine.rank, learner.engine.world
    found = [learner.learn(course.shares(number, world)[rank]) for number in numbers]
    return [*found, learner.measure(course.held_out(world)[rank])]


def final(learner: SFTLearner, mean: bool = False) -> dict[str, torch.Tensor]:
    """The weights, or their means, whole."""
    if mean and learner.mean:
        with learner.mean.used():
            return final(learner)
    learner.engine.fill(learner.policy.model)
    return {name: value.detach().clone() for name, value in merged_state(learner.policy.model).items()}


def go_on(case: Case, folder: Path) -> dict:
    """Three steps, saved after two; and the last again by fresh engines: here, and by the engine of one process."""
    config = load_config(SFTConfig, [*SETTINGS, *(text for text in case.more if "=" in text)])
    whole, course = make(config, case)
    metrics = steps(whole, course, range(SAVED))
    whole.snapshot()
    whole.write(folder)
    if whole.engine.rank == 0:
        torch.save(course.positions(SAVED), folder / "data.pt")
    metrics += steps(whole, course, range(SAVED, STEPS))
    barrier()
    second, course = make(config, case, folder)
    steps(second, course, range(SAVED, STEPS))
    found = {"metrics": metrics, "whole": final(whole), "mean": final(whole, mean=True)}
    found |= {"cut": final(second), "cut mean": final(second, mean=True), "after": final(whole)}
    if whole.engine.rank == 0:
        alone, course = make(config, Case(), folder)
        found["alone"] = steps(alone, course, range(SAVED, STEPS))
    barrier()
    return found
