import pytest

from unigrpo.cli.train import _smaller
from unigrpo.config import AlgoSection, LikelihoodSection, TrainConfig
from unigrpo.errors import OutOfMemoryError
from unigrpo.scores import MICRO_BATCH

CONFIG = TrainConfig(algo=AlgoSection(likelihood=LikelihoodSection(micro_batch=32, chunk=7)))


def test_ranks_that_ran_out_of_memory_try_half_of_what_did_not_fit():
    found = _smaller(CONFIG, OutOfMemoryError("", MICRO_BATCH, 16)).algo.likelihood
    assert (found.micro_batch, found.chunk) == (8, 7)


@pytest.mark.parametrize(("key", "size"), [(MICRO_BATCH, 1), ("rollout.batch_size", 1)])
def test_what_cannot_be_made_smaller_ends_the_run(key, size):
    with pytest.raises(OutOfMemoryError, match="too much"):
        _smaller(CONFIG, OutOfMemoryError("too much", key, size))
