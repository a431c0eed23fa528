import math
from dataclasses import replace

import pytest

from rewards import Scorer
from rewards.compose import compose
from rewards.score import Judged, Score
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError


@pytest.fixture
def earned(rollout):
    """What rollouts earn, given what each reward said of each: numbers, or None where it does not apply."""

    def make(entries: dict[str, RewardEntry], *said: dict, groups: str = "", **options) -> list[float]:
        groups = groups or "p" * len(said)
        rollouts = [replace(rollout("", id=group), id=f"0/{group}/{n}") for n, group in enumerate(groups)]
        judged = [Judged({n: Score(v) for n, v in row.items() if v is not None}, {}) for row in said]
        return [item.reward for item in compose({"": entries}, rollouts, judged, **options)]

    return make


def test_the_sum_is_weighted_and_leaves_out_what_does_not_apply(earned):
    entries = {"a": RewardEntry(weight=2.0), "b": RewardEntry(weight=-0.5)}
    assert earned(entries, {"a": 1, "b": 3}, {"a": None, "b": 2}, {"a": 0.5, "b": None}) == [0.5, -1.0, 1.0]


def test_caps_bound_a_reward_before_its_weight(earned):
    entries = {"a": RewardEntry(weight=10, min=-1, max=0.5)}
    assert earned(entries, {"a": -3}, {"a": 0.25}, {"a": 7}) == [-10, 2.5, 5]


def test_a_reward_counts_only_where_what_it_requires_is_full(earned):
    entries = {"format": RewardEntry(weight=0.1), "math": RewardEntry(requires=["format"], min=-1)}
    rows = [{"format": f, "math": 1} for f in (1, 0, 0.99, None)]
    assert earned(entries, *rows) == pytest.approx([1.1, 0, 0.099, 1])


def test_a_gate_that_failed_leaves_the_sum_unknown(earned):
    entries = {"format": RewardEntry(weight=0), "math": RewardEntry(requires=["format"])}
    found = earned(entries, {"format": math.nan, "math": 1}, {"format": 1, "math": 1})
    assert [math.isnan(value) for value in found] == [True, False]


def test_normalised_in_its_group_each_reward_has_mean_0_and_deviation_1_there(earned):
    entries = {"a": RewardEntry(normalize="group"), "b": RewardEntry(weight=100, normalize="group")}
    rows = [{"a": a, "b": b} for a, b in [(0, 5), (1, 5), (2, 5), (10, 1), (10, 3)]]
    found = earned(entries, *rows, groups="pppqq")
    spread = (3 / 2) ** 0.5
    assert found == pytest.approx([-spread, 0, spread, -100, 100])


def test_normalised_over_the_batch_groups_keep_their_differences(earned):
    found = earned({"a": RewardEntry(normalize="batch")}, *[{"a": a} for a in (0, 0, 1, 1)], groups="ppqq")
    assert found == pytest.approx([-1, -1, 1, 1])


def test_equal_rewards_are_0_once_normalised_and_unknown_ones_stay_apart(earned):
    entries = {"a": RewardEntry(normalize="group")}
    assert earned(entries, {"a": 0.3}, {"a": 0.3}) == [0, 0]
    found = earned(entries, {"a": 1}, {"a": math.nan}, {"a": 3}, {"a": None, "b": 0})
    assert found[:1] + found[2:] == [-1, 1, 0]
    assert math.isnan(found[1])


def test_an_evaluation_does_not_normalise(earned):
    assert earned({"a": RewardEntry(normalize="group")}, {"a": 1}, {"a": 3}, normalize=False) == [1, 3]


def test_a_rollout_that_no_reward_judges_is_an_error(earned):
    with pytest.raises(RewardError, match="no reward applies to rollout 0/p/0: a returned None"):
        earned({"a": RewardEntry()}, {})


@pytest.mark.parametrize("other", ["formt", "exact_match"])
def test_what_is_required_must_be_another_reward(other):
    with pytest.raises(ConfigError, match=rf"rewards\.exact_match\.requires holds '{other}', which is no other reward"):
        Scorer({"exact_match": RewardEntry(requires=[other])})
