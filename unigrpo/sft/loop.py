"""The loop of supervised fine-tuning: same engine, checkpoints and tracker as UniGRPO."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from unigrpo import checkpoint
from unigrpo.config import SFTConfig
from unigrpo.engine import Engine
from unigrpo.models.load import Policy, save_policy
from unigrpo.progress import progress
from unigrpo.sft.batches import BatchStream, SFTBatch
from unigrpo.sft.loss import sft_loss
from unigrpo.sft.streams import Stream
from unigrpo.state import Snapshot, restore_state
from unigrpo.stopping import stoppable
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics


def batch_loss(policy: Policy, batch: SFTBatch) -> torch.Tensor:
    """The part of a step's loss that comes from some sequences of one stream."""
    device = next(policy.model.parameters()).device
    tokens_BT, masked_BT = batch.tokens_BT.to(device), batch.masked_BT.to(device)
    return sft_loss(
        policy.model,
        tokens_BT.masked_fill(masked_BT, policy.ids.mask),
        None if batch.key_mask_BT.all() else batch.key_mask_BT.to(device),
        tokens_BT,
        masked_BT,
        batch.weight_B,
    )


def _backward(policy: Policy, streams: Mapping[str, Stream], step: int, micro_batch: int) -> Metrics:
    """Accumulates the gradient of the weighted sum of the losses, and returns it with those of each stream."""
    losses = {}
    for name, stream in streams.items():
        batch, losses[name] = stream.batches.batch(step), 0.0
        for at in range(0, len(batch), micro_batch):
            loss = batch_loss(policy, batch.rows(slice(at, at + micro_batch)))
            if loss.requires_grad:
                (stream.coefficient * loss).backward()
            losses[name] += float(loss.detach())
    return _named("loss", losses, streams)


def _named(metric: str, losses: dict[str, float], streams: Mapping[str, Stream]) -> Metrics:
    """The weighted sum of some losses, and each by the name of its stream, if that has one."""
    total = sum(streams[name].coefficient * value for name, value in losses.items())
    return {metric: total} | {f"{metric}/{name}": value for name, value in losses.items() if name}


@torch.no_grad()
def validation_loss(policy: Policy, stream: BatchStream, batches: int = 8) -> float:
    """Mean loss over fixed batches with fixed noise."""
    count = min(batches, len(stream.examples) // stream.size)
    return sum(float(batch_loss(policy, stream.batch(step))) for step in range(count)) / count


def validation_losses(policy: Policy, streams: Mapping[str, Stream]) -> Metrics:
    """The held-out loss of each stream that has one, and their weighted sum; empty when none has."""
    held_out = {name: stream.held_out for name, stream in streams.items() if stream.held_out}
    losses = {name: validation_loss(policy, batches) for name, batches in held_out.items()}
    return _named("sft/held_out_loss", losses, streams) if losses else {}


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
    engine = Engine(policy.model, config.optim, config.steps)
    if resume_from:
        restore_state(policy, engine, resume_from)

    def good_enough(metrics: Metrics) -> bool:
        return metrics.get("sft/held_out_loss", float("inf")) < (config.stop_below or 0)

    def save() -> Callable[[], Path]:
        taken = Snapshot.of(policy, engine)
        return partial(checkpoint.save, run, engine.step_count, taken.write, {}, config.checkpoint.keep)

    metrics: Metrics = {}
    ended = False
    if resume_from and engine.step_count % config.held_out_every == 0:
        ended = good_enough(validation_losses(policy, streams))
    with (
        progress("SFT", config.steps, engine.step_count) as bar,
        stoppable(run, engine.step_count, save, config.checkpoint.background) as saves,
    ):
        while engine.step_count < config.steps and not ended:
            started = time.perf_counter()
            found = engine.step(lambda: _backward(policy, streams, engine.step_count, config.sft.micro_batch))
            optim = {f"optim/{name}": found.pop(name) for name in ("grad_norm", "lr", "skipped") if name in found}
            metrics = {f"sft/{name}": value for name, value in found.items()} | optim
            done = engine.step_count
            ended = done == config.steps
            if ended or done % config.held_out_every == 0:
                metrics |= validation_losses(policy, streams)
                ended |= good_enough(metrics)
            tracker.log(done, metrics | {"time/step": time.perf_counter() - started})
            bar.update(metrics)
            if ended or done % config.checkpoint.every == 0:
                saves.now(done)
            saves.stop_if_asked(done)
    checkpoint.publish(run / "model", partial(save_policy, policy))
    return metrics
