import pytest

from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.prepare import Preparer
from unigrpo.data.shards.stream import SetStream
from unigrpo.data.shards.windows import Windows
from unigrpo.models.tokenizer import ids_of


@pytest.fixture(scope="session")
def seeing(tokenizer):
    """Ids of a model with image codes."""
    return ids_of(tokenizer, 16)


@pytest.fixture
def streamed(tokenizer, seeing):
    """Open a section as a set; `workers` processes read it."""
    pools = []

    def opened(section, workers=0, **fields) -> SetStream:
        pools.append(Pool(workers))
        maker = Preparer.of(section, tokenizer, seeing, 8)
        return SetStream(section, maker, pools[-1], **{"seed": 3, "ahead": 64} | fields)

    yield opened
    for pool in pools:
        pool.close()


@pytest.fixture
def windows(streamed):
    """Open a section as windows of batches of four."""

    def opened(section, workers=0, size=24, **fields) -> Windows:
        return Windows({"": streamed(section, workers, **fields)}, {"": 1.0}, batch_size=4, size=size, seed=5)

    return opened


def epoch(stream: SetStream) -> list[str]:
    """The names of the rows of an epoch."""
    return [draft.id for draft in iter(stream.next, None)]


def names(found: Windows, steps) -> list[list[str]]:
    """The names of the rows of some steps."""
    return [[draft.id for _, draft in found.batch(step)] for step in steps]
