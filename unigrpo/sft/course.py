"""What each optimiser step of supervised fine-tuning learns from, and the loss of it.

B sequences, T tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from unigrpo.config import SFTConfig, streams_of
from unigrpo.data.shards.stream import State
from unigrpo.models.load import Policy
from unigrpo.sft.batches import BatchStream, SFTBatch
from unigrpo.sft.loss import learned, sft_loss
from unigrpo.sft.noise import image_weights
from unigrpo.sft.streamed import StreamedBatches
from unigrpo.sft.streams import Stream
from unigrpo.sft.turns import Turns
from unigrpo.types import Metrics


class Batches(Protocol):
    """Batch after batch of one stream, each a function of its number."""

    def batch(self, step: int) -> SFTBatch:
        """The batch of this number (0-based)."""
        ...


def batch_loss(policy: Policy, batch: SFTBatch, ends: bool = False) -> torch.Tensor:
    """The part of a step's loss that comes from some sequences of one stream.

    Args:
        ends: the two ends of an image are learned too, though they are seen.
    """
    device = next(policy.model.parameters()).device
    tokens_BT, masked_BT = batch.tokens_BT.to(device), batch.masked_BT.to(device)
    return sft_loss(
        policy.model,
        tokens_BT.masked_fill(masked_BT, policy.ids.mask),
        None if batch.key_mask_BT.all() else batch.key_mask_BT.to(device),
        tokens_BT,
        learned(batch, policy.ids, ends).to(device),
        batch.weight_B,
    )


@dataclass(frozen=True, eq=False)
class Course:
    """What each batch of a run is made of."""

    streams: Mapping[str, Stream]
    turns: Turns
    ends: frozenset[str]
    """The streams whose loss has the ends of the image in it."""
    micro_batch: int
    accumulation: int = 1

    @classmethod
    def of(cls, config: SFTConfig, streams: Mapping[str, Stream]) -> "Course":
        """That of a run."""
        sections = streams_of(config)
        drawn = [name for name, section in sections.items() if section.data.task == "image"]
        ends = frozenset(drawn if config.sft.image_ends else ())
        turns = Turns(sections, config.seed)
        return cls(streams, turns, ends, config.sft.micro_batch, config.sft.accumulation)

    def positions(self, step: int) -> dict[str, State]:
        """Where a run that goes on with `step` finds its streamed data again, for its checkpoint; JSON."""
        upcoming = self.turns.upcoming(step * self.accumulation)
        batches = {name: stream.batches for name, stream in self.streams.items()}
        return {name: it.state(upcoming[name]) for name, it in batches.items() if isinstance(it, StreamedBatches)}

    def backward(self, policy: Policy, step: int) -> Metrics:
        """Accumulates the gradient of the weighted sum of the losses, and returns it with those of each stream.

        The loss of a stream is its mean over those batches of the step that have it.
        """
        losses: dict[str, list[float]] = {}
        samples = 0
        for number in range(step * self.accumulation, (step + 1) * self.accumulation):
            for name, index in self.turns.of(number).items():
                batch = self._batch(policy, name, self.streams[name].batches, index)
                losses.setdefault(name, []).append(self._learn(policy, name, batch))
                samples += len(batch)
        total = sum(self.streams[name].coefficient * sum(found) for name, found in losses.items()) / self.accumulation
        means = {f"loss/{name}": sum(found) / len(found) for name, found in losses.items() if name}
        return {"loss": total, **means, "samples": float(samples)}

    def _learn(self, policy: Policy, name: str, batch: SFTBatch) -> float:
        factor, found = self.streams[name].coefficient / self.accumulation, 0.0
        for at in range(0, len(batch), self.micro_batch):
            loss = batch_loss(policy, batch.rows(slice(at, at + self.micro_batch)), name in self.ends)
            if loss.requires_grad:
                (factor * loss).backward()
            found += float(loss.detach())
        return found

    def _batch(self, policy: Policy, name: str, stream: Batches, index: int) -> SFTBatch:
        """A batch whose weights count the ends of images where they are learned."""
        batch = stream.batch(index)
        return replace(batch, weight_B=image_weights(learned(batch, policy.ids, True))) if name in self.ends else batch

    @torch.no_grad()
    def held_out_losses(self, policy: Policy) -> Metrics:
        """The held-out loss of each stream that has one, and their weighted sum; empty when none has."""
        losses = {name: self._held_out(policy, name, it.held_out) for name, it in self.streams.items() if it.held_out}
        total = sum(self.streams[name].coefficient * loss for name, loss in losses.items())
        named = {f"sft/held_out_loss/{name}": loss for name, loss in losses.items() if name}
        return {"sft/held_out_loss": total} | named if losses else {}

    def _held_out(self, policy: Policy, name: str, stream: BatchStream, batches: int = 8) -> float:
        """Mean loss over fixed batches with fixed noise."""
        count = min(batches, len(stream.examples) // stream.size)
        found = (self._batch(policy, name, stream, step) for step in range(count))
        return sum(float(batch_loss(policy, batch, name in self.ends)) for batch in found) / count

    def describe(self, config: SFTConfig) -> str:
        """What one optimiser step learns from, in words."""
        sections, choices = streams_of(config), {}
        for name, section in sections.items():
            choices.setdefault(section.one_of or f"{name} ", {})[name or "data"] = section.batch_size
        parts = [
            f"{' or '.join(names)} {' or '.join(map(str, dict.fromkeys(names.values())))}" for names in choices.values()
        ]
        most = sum(max(names.values()) for names in choices.values()) * self.accumulation
        times = f"{self.accumulation} x ({', '.join(parts)})" if self.accumulation > 1 else ", ".join(parts)
        return f"One optimiser step learns from {most} samples: {times}; {self.micro_batch} at a time."
