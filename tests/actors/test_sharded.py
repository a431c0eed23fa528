"""The engine of several ranks against the engine of one process."""

import pytest
import torch

from tests.actors.ranks import Case, go_on, leave_out, run

CASES = [Case(0), Case(1, lora=True), Case(2), Case(2, lora=True), Case(3), Case(3, lora=True)]
CASES += [Case(3, ratio="sequence")]
ODD = [Case(2, dtype="bfloat16"), Case(3, dtype="bfloat16"), Case(3, offload=True)]
LONE = CASES[2:4]
"""What one rank is tried with: no other waits for it, whatever the stage."""
ALONE = [Case(), Case(lora=True), Case(ratio="sequence")]
"""The engine of one process."""
pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def found():
    """What one process, one rank and two ranks found."""
    jobs = [(go_on, case) for case in [*CASES, *ODD]] + [(leave_out, Case(stage)) for stage in range(4)]
    return {
        1: run(1, [(go_on, case) for case in [*ALONE, *LONE]]),
        2: run(2, jobs),
    }


def same(one, other) -> bool:
    """Whether two sets of weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("world", "case"), [*((1, case) for case in LONE), *((2, case) for case in CASES)], ids=str)
def test_ranks_give_the_losses_of_one_process(found, world, case):
    expected = found[1]["go_on", Case(lora=case.lora, ratio=case.ratio)]["metrics"]
    for ours, theirs in zip(found[world]["go_on", case]["metrics"], expected, strict=True):
        for name in ("policy/loss", "policy/logprob", "optim/grad_norm", "policy/tokens", "policy/ratio", "optim/lr"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize(
    ("world", "case"), [(1, case) for case in LONE] + [(2, case) for case in [*CASES, *ODD]], ids=str
)
def test_fresh_ranks_go_on_from_a_checkpoint_bit_for_bit(found, world, case):
    answer = found[world]["go_on", case]
    assert same(answer["cut"], answer["whole"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_process_goes_on_from_what_two_ranks_saved(found, case):
    answer = found[2]["go_on", case]
    for name, weight in answer["alone"].items():
        torch.testing.assert_close(weight, answer["whole"][name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("stage", range(4))
def test_a_gradient_that_is_not_finite_on_one_rank_moves_no_weight_on_any(found, stage):
    answer = found[2]["leave_out", Case(stage)]
    assert same(answer["before"], answer["after"])
    assert answer["skipped"] == [2.0]
    assert answer["good"]["optim/skipped"] == 0
    assert "nor were those of the 2 before it" in answer["error"]
