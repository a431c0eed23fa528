import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import scored_group
from unigrpo.evaluate import evaluation_intervals
from unigrpo.intervals import Z, bootstrap, interval, wilson

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_wilsons_bounds_are_where_the_normal_test_just_holds(case):
    right, count = case
    share = right / count
    for bound in wilson(right, count):
        assert (share - bound) ** 2 == pytest.approx(Z**2 * bound * (1 - bound) / count, abs=1e-12)


@given(COUNTS)
def test_wilsons_interval_holds_the_share_and_is_inside_0_to_1(case):
    low, high = wilson(*case)
    assert 0 <= low <= case[0] / case[1] <= high <= 1
    assert low < high


def test_the_known_interval_of_8_of_10():
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_a_bootstrap_of_many_prompts_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, 2000)
    low, high = bootstrap([[[value] for value in values]], 2000, seed=0)
    half = Z * values.std() / len(values) ** 0.5
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_responses_to_one_prompt_are_drawn_together():
    """Four copies of each answer tell nothing new."""
    once = [[float(at % 3 == 0)] for at in range(60)]
    assert bootstrap([[own * 4 for own in once]], 500, seed=1) == bootstrap([once], 500, seed=1)


def test_prompts_of_which_nothing_is_known_do_not_count():
    prompts = [[0.0], [], [1.0], [0.5], []]
    assert bootstrap([prompts], 300, seed=2) == bootstrap([[own for own in prompts if own]], 300, seed=2)


def test_equal_values_leave_no_doubt_and_the_seed_decides():
    assert bootstrap([[[0.5]] * 9], 50, seed=0) == (0.5, 0.5)
    prompts = [[float(at)] for at in range(9)]
    assert bootstrap([prompts], 50, seed=0) == bootstrap([prompts], 50, seed=0) != bootstrap([prompts], 50, seed=1)


def test_a_mean_over_tasks_is_as_sure_as_its_tasks():
    sure, unsure = [[1.0]] * 50, [[0.0], [1.0]]
    low, high = bootstrap([sure, unsure], 500, seed=0)
    assert (low, high) == (0.5, 1.0)


def test_answers_that_are_right_or_wrong_once_have_wilsons_interval_and_others_a_bootstrap():
    assert interval([[1.0], [0.0], []], 100, seed=0) == wilson(1, 2)
    assert interval([[1.0, 0.0], [0.0, 0.0]], 100, seed=0) == bootstrap([[[1.0, 0.0], [0.0, 0.0]]], 100, seed=0)
    assert interval([[0.0] * 4] * 5, 100, seed=0) == wilson(0, 5)
    assert interval([[0.5], [0.0]], 100, seed=0) == bootstrap([[[0.5], [0.0]]], 100, seed=0)


def test_every_metric_has_an_interval_around_it():
    scored = scored_group([1], [[1]] * 2, [1.0, 0.0]) + scored_group([2], [[1]] * 2, [0.0] * 2, name="p")
    found = evaluation_intervals(scored, 2, {"": "r"}, 200, seed=0)
    assert set(found) == {"eval/accuracy", "eval/reward", "eval/failed", "eval/truncated", "eval/pass@2", "eval/r"}
    assert found["eval/accuracy"] == (0.0, 0.5)
    assert found["eval/pass@2"] == wilson(1, 2)
