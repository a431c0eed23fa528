"""The loop of supervised fine-tuning: same engine, checkpoints and tracker as UniGRPO."""

import time
from functools import partial
from pathlib import Path

import torch

from unigrpo import checkpoint
from unigrpo.config import SFTConfig
from unigrpo.data.load import Example
from unigrpo.engine import Engine
from unigrpo.models.load import Policy, save_policy
from unigrpo.progress import progress
from unigrpo.sft.batches import BatchStream, SFTBatch
from unigrpo.sft.loss import sft_loss
from unigrpo.state import restore_state, save_state
from unigrpo.tracking import Tracker
from unigrpo.types import Metrics


def batch_loss(policy: Policy, batch: SFTBatch, sequences: int) -> torch.Tensor:
    """The loss of some sequences of a step."""
    device = next(policy.model.parameters()).device
    tokens_BT, masked_BT = batch.tokens_BT.to(device), batch.masked_BT.to(device)
    return sft_loss(
        policy.model,
        tokens_BT.masked_fill(masked_BT, policy.ids.mask),
        None if batch.key_mask_BT.all() else batch.key_mask_BT.to(device),
        tokens_BT,
        masked_BT,
        batch.probability_B[:, None].expand(tokens_BT.shape),
        batch.answer_length_B,
        sequences,
    )


def _backward(policy: Policy, batch: SFTBatch, micro_batch: int) -> Metrics:
    total = 0.0
    for at in range(0, len(batch), micro_batch):
        loss = batch_loss(policy, batch.rows(slice(at, at + micro_batch)), len(batch))
        if loss.requires_grad:
            loss.backward()
        total += float(loss.detach())
    return {"loss": total}


@torch.no_grad()
def validation_loss(policy: Policy, stream: BatchStream, batches: int = 8) -> float:
    """Mean loss over fixed batches with fixed noise."""
    count = min(batches, len(stream.examples) // stream.size)
    drawn = [stream.batch(step) for step in range(count)]
    return sum(float(batch_loss(policy, batch, len(batch))) for batch in drawn) / count


def sft(
    config: SFTConfig,
    policy: Policy,
    examples: list[Example],
    held_out: list[Example],
    tracker: Tracker,
    run: Path,
    resume_from: Path | None = None,
) -> Metrics:
    """Trains to the last step and writes the model to `run/model`."""
    engine = Engine(policy.model, config.optim, config.steps)
    if resume_from:
        restore_state(policy, engine, resume_from)

    def stream(rows: list[Example]) -> BatchStream:
        return BatchStream(rows, config.sft, seed=config.seed, mask_id=policy.ids.mask, eos_id=policy.ids.eos)

    batches, fixed = stream(examples), stream(held_out) if held_out else None
    metrics: Metrics = {}
    ended = False
    if resume_from and fixed and engine.step_count % config.held_out_every == 0:
        ended = validation_loss(policy, fixed) < (config.stop_below or 0)
    with progress("SFT", config.steps, engine.step_count) as bar:
        while engine.step_count < config.steps and not ended:
            started = time.perf_counter()
            batch = batches.batch(engine.step_count)
            found = engine.step(lambda batch=batch: _backward(policy, batch, config.sft.micro_batch))
            metrics = {"sft/loss": found["loss"], "optim/grad_norm": found["grad_norm"], "optim/lr": found["lr"]}
            done = engine.step_count
            ended = done == config.steps
            if fixed and (ended or done % config.held_out_every == 0):
                metrics["sft/held_out_loss"] = validation_loss(policy, fixed)
                ended |= metrics["sft/held_out_loss"] < (config.stop_below or 0)
            tracker.log(done, metrics | {"time/step": time.perf_counter() - started})
            bar.update(metrics)
            if ended or done % config.checkpoint.every == 0:
                checkpoint.save(run, done, partial(save_state, policy, engine), {}, config.checkpoint.keep)
    checkpoint.publish(run / "model", partial(save_policy, policy))
    return metrics
