"""Batches for supervised fine-tuning from data that is read while it is used."""

from unigrpo.algo.random import key
from unigrpo.config import DataSection, SFTSection
from unigrpo.data.load import Example
from unigrpo.data.protocols import Images
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.prepare import finish
from unigrpo.data.shards.stream import State
from unigrpo.data.shards.windows import Windows
from unigrpo.models.ids import IdTable
from unigrpo.sft.batches import SFTBatch, check_thought, collate


class StreamedBatches:
    """Batch after batch of a stream that is not held in memory; batch `step` depends on the seed and `step` alone."""

    def __init__(
        self,
        windows: Windows,
        sections: dict[str, DataSection],
        pool: Pool,
        section: SFTSection,
        ids: IdTable,
        images: Images | None,
        *,
        seed: int,
        pad_to: int | None = None,
        visible_pads: bool = False,
        prefix: str = "sft.",
    ):
        self.windows, self.sections, self.pool, self.section, self.ids = windows, sections, pool, section, ids
        self.images, self.seed, self.pad_to, self.visible_pads, self.prefix = images, seed, pad_to, visible_pads, prefix

    @property
    def waited(self) -> float:
        """Seconds that training has waited for data, of all streams that share its processes."""
        return self.pool.waited

    def batch(self, step: int) -> SFTBatch:
        """The batch of one optimiser step (0-based)."""
        return collate(
            self.examples(step), self.section, self.ids, noise_key=key(self.seed, step, "sft noise"), pad_to=self.pad_to
        )

    def examples(self, step: int) -> list[Example]:
        """What a batch is made of."""
        drafts = [(self.sections[name], draft) for name, draft in self.windows.batch(step)]
        examples = finish(drafts, self.ids, self.images, self.visible_pads)
        for example in examples:
            check_thought(example, self.pad_to, self.prefix)
        return examples

    def state(self, step: int) -> State:
        """What a checkpoint needs to hold for a run that goes on with `step`; JSON."""
        return self.windows.state(step)

    def restore(self, state: State) -> None:
        """Go on from what a checkpoint held. Without it the same batches come, but all before them are read first."""
        self.windows.restore(state)

    def start(self) -> None:
        """Reads the first samples, or those that a restored run goes on with."""
        self.windows.batch(self.windows.first)

    def close(self) -> None:
        """Ends the processes that read."""
        self.pool.close()
