"""What each optimiser step of supervised fine-tuning learns from."""

from collections.abc import Mapping
from dataclasses import dataclass

from unigrpo.config import SFTConfig, streams_of
from unigrpo.data.protocols import Images
from unigrpo.data.shards.stream import State
from unigrpo.sft.shares import Share, share_out
from unigrpo.sft.streamed import StreamedBatches
from unigrpo.sft.streams import Stream, waited
from unigrpo.sft.turns import Turns

JUDGED = 8
"""Most batches of a validation loss."""


@dataclass(frozen=True, eq=False)
class Course:
    """What each batch of a run is made of."""

    streams: Mapping[str, Stream]
    turns: Turns
    micro_batch: int
    accumulation: int = 1
    codes: int = 0
    """Those of a picture."""

    @classmethod
    def of(cls, config: SFTConfig, streams: Mapping[str, Stream], images: Images | None) -> "Course":
        """That of a run."""
        turns = Turns(streams_of(config), config.seed)
        return cls(streams, turns, config.sft.micro_batch, config.sft.accumulation, images.tokens if images else 0)

    @property
    def waited(self) -> float:
        """Seconds that somebody has waited for data that is streamed."""
        return waited(self.streams)

    def positions(self, step: int) -> dict[str, State]:
        """Where a run that goes on with `step` finds its streamed data again, for its checkpoint; JSON."""
        upcoming = self.turns.upcoming(step * self.accumulation)
        batches = {name: stream.batches for name, stream in self.streams.items()}
        return {name: it.state(upcoming[name]) for name, it in batches.items() if isinstance(it, StreamedBatches)}

    def shares(self, step: int, world: int = 1) -> list[Share]:
        """What each of `world` processes learns from in a step: the same samples, however many they are."""
        numbers = range(step * self.accumulation, (step + 1) * self.accumulation)
        turns = [self.turns.of(number) for number in numbers]
        drawn = [(name, turn[name]) for name in self.streams for turn in turns if name in turn]
        return share_out(
            [(name, self.streams[name].batches.size) for name, _ in drawn],
            lambda at: self.streams[drawn[at][0]].batches.samples(drawn[at][1]),
            self.micro_batch,
            world,
            self.codes,
        )

    def held_out(self, world: int = 1) -> list[Share]:
        """What each of `world` processes judges by; none where nothing is held out."""
        streams = {name: stream.held_out for name, stream in self.streams.items() if stream.held_out}
        fixed = [
            (name, step) for name, it in streams.items() for step in range(min(JUDGED, len(it.examples) // it.size))
        ]
        if not fixed:
            return []
        sizes = [(name, streams[name].size) for name, _ in fixed]
        return share_out(
            sizes, lambda at: streams[fixed[at][0]].samples(fixed[at][1]), self.micro_batch, world, self.codes
        )

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
        over = f" over {config.cluster.ranks} ranks" if config.cluster.ranks > 1 else ""
        return f"One optimiser step learns from {most} samples{over}: {times}; {self.micro_batch} at a time."
