import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.algo.advantage import advantages

KINDS = ["grpo", "dr_grpo", "rloo", "reinforce++", "wd1"]
groups = st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.7, 2.5, 1 / 3])
def test_a_group_of_equal_rewards_has_advantage_exactly_zero(kind, value):
    """Seven, because the mean of seven equal numbers may differ from them in the last bit."""
    rewards = torch.full((1, 7), value, dtype=torch.float64)
    assert torch.equal(advantages(torch.cat([rewards, torch.arange(7.0)[None]]), kind)[0], torch.zeros(7).double())


@given(groups)
def test_advantages_of_a_group_sum_to_zero(rewards):
    for kind in KINDS:
        assert advantages(torch.tensor(rewards), kind).sum(-1).abs().max() < 1e-8


def test_grpo_is_the_z_score_of_equation_15_and_dr_grpo_its_numerator():
    assert advantages(torch.tensor([[0.0, 1.0]]), "grpo").tolist() == [[-1.0, 1.0]]
    assert advantages(torch.tensor([[0.0, 4.0]]), "dr_grpo").tolist() == [[-2.0, 2.0]]


def test_rloo_compares_with_the_mean_of_the_others():
    rewards = torch.tensor([[1.0, 2.0, 6.0]])
    assert advantages(rewards, "rloo").tolist() == [[1 - 4, 2 - 3.5, 6 - 1.5]]


def test_reinforce_plus_plus_divides_by_the_deviation_of_the_whole_batch():
    found = advantages(torch.tensor([[0.0, 2.0], [0.0, 4.0]]), "reinforce++")
    assert found.pow(2).mean() == pytest.approx(1.0)
    assert found[1, 1] == pytest.approx(2 * float(found[0, 1]))


def test_wd1_weights_are_the_difference_of_two_softmaxes():
    zscore = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    for psi in (1.0, 0.5):
        expected = 2 * ((zscore / psi).softmax(-1) - (-zscore / psi).softmax(-1))
        assert torch.allclose(advantages(torch.tensor([[0.0, 1.0]]), "wd1", psi), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollout_whose_reward_is_not_known_is_as_if_it_had_not_been_drawn(kind):
    known = torch.tensor([[0.0, 1.0, 5.0], [2.0, 2.5, 4.0]], dtype=torch.float64)
    row = torch.full((2, 1), torch.nan)
    found = advantages(torch.cat([known[:, :1], row, known[:, 1:]], 1), kind)
    assert found[:, 1].isnan().all()
    assert torch.allclose(found[:, [0, 2, 3]], advantages(known, kind), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_of_which_one_reward_or_none_is_known_teaches_nothing(kind):
    found = advantages(torch.tensor([[torch.nan, 3.0, torch.nan], [torch.nan] * 3, [0.0, 1.0, 2.0]]), kind)
    assert found[:2].nan_to_num(0).eq(0).all()
    assert found[2].isfinite().all()
