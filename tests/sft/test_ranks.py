"""Supervised fine-tuning by two ranks against one process."""

from functools import cache

import pytest
import torch

from tests.actors.ranks import run
from tests.sft.ranks import SAVED, Case, go_on

LORA, HALF, AGAIN = "model.lora.rank=2", "model.dtype=bfloat16", "model.gradient_checkpointing=true"
QUICK = (Case(2), Case(3, (AGAIN,)))
MORE = (Case(0), Case(1), Case(3, ("whole", LORA)), Case(2, (HALF,)), Case(3, (HALF,)))
"""As long again each."""
CASES = [*QUICK, *(pytest.param(case, marks=pytest.mark.long) for case in MORE)]
pytestmark = [pytest.mark.slow]


@cache
def by_two(group: tuple[Case, ...]) -> dict:
    """What two ranks find, who are started once for several cases."""
    return run(2, [(go_on, case) for case in group])


@pytest.fixture
def found(case):
    """What two ranks found of a case."""
    return by_two(QUICK if case in QUICK else MORE)["go_on", case]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds, of all weights and of adapters."""
    return [go_on(Case(None, more), tmp_path_factory.mktemp("alone")) for more in ((), (LORA,))]


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_ranks_give_the_losses_and_weights_of_one_process(found, alone, case):
    theirs, rough = alone[LORA in case.more], HALF in case.more
    for one, other in zip(found["metrics"], theirs["metrics"], strict=True):
        assert one == pytest.approx(other, rel=0.1 if rough else 2e-5, abs=1e-6)
    assert not same(found["mean"], found["whole"])
    for name in ("whole", "mean"):
        for key, weight in found[name].items():
            torch.testing.assert_close(weight.float(), theirs[name][key], atol=1e-2 if rough else 5e-5, rtol=1e-2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fresh_ranks_go_on_from_a_checkpoint_bit_for_bit(found, case):
    assert same(found["cut"], found["whole"])
    assert same(found["cut mean"], found["mean"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_mean_is_in_the_model_only_while_it_is_used(found, case):
    assert same(found["after"], found["whole"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_process_goes_on_from_what_two_ranks_saved(found, case):
    for one, other in zip(found["alone"], found["metrics"][SAVED + 1 :], strict=True):
        assert one == pytest.approx(other, rel=0.1 if HALF in case.more else 1e-4, abs=1e-5)
