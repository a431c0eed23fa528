"""Samples of each batch for supervised fine-tuning, from data that is read while it is used."""

from unigrpo.algo.random import key
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.stream import State
from unigrpo.data.shards.windows import Windows
from unigrpo.sft.recipe import Samples


class StreamedBatches:
    """Batch after batch of a stream that is not held in memory; batch `step` depends on the seed and `step` alone."""

    def __init__(self, windows: Windows, pool: Pool, *, seed: int):
        self.windows, self.pool, self.seed = windows, pool, seed

    @property
    def size(self) -> int:
        """Samples of a batch."""
        return self.windows.batch_size

    @property
    def waited(self) -> float:
        """Seconds that training has waited for data, of all streams that share its processes."""
        return self.pool.waited

    def samples(self, step: int) -> Samples:
        """What the batch of this number (0-based) is made of."""
        return Samples(items=self.windows.batch(step), noise_key=key(self.seed, step, "sft noise"))

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
