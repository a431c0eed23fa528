import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import scored_group
from unigrpo.evaluate import evaluation_metrics, pass_at_k, powers_up_to


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_right_answer(case):
    samples, solved, k = case
    answers = [True] * solved + [False] * (samples - solved)
    subsets = list(itertools.combinations(answers, k))
    assert pass_at_k(samples, solved, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_accuracy_is_pass_at_one_and_groups_are_kept_apart():
    scored = scored_group([1], [[1]] * 4, [1.0, 0.0, 0.0, 0.0]) + scored_group([2], [[1]] * 4, [0.0] * 4)
    metrics = evaluation_metrics(scored, 4, {"": "r"})
    assert metrics["eval/accuracy"] == 1 / 8
    assert metrics["eval/pass@2"] == pytest.approx((0.5 + 0) / 2)
    assert metrics["eval/pass@4"] == 0.5
    assert metrics["eval/r"] == 1 / 8
    paid = [replace(item, reward=9.0) for item in scored]
    assert evaluation_metrics(paid, 4, {"": "r"})["eval/accuracy"] == 1 / 8


def test_k_runs_over_powers_of_two_up_to_the_samples():
    assert powers_up_to(1) == [1]
    assert powers_up_to(6) == [1, 2, 4, 6]
    assert powers_up_to(8) == [1, 2, 4, 8]


def test_a_response_whose_reward_failed_is_neither_right_nor_wrong():
    scored = scored_group([1], [[1]] * 4, [1.0, 0.0, math.nan, 0.0]) + scored_group([2], [[1]] * 4, [1.0] * 4)
    metrics = evaluation_metrics(scored, 4, {"": "r"})
    assert metrics["eval/accuracy"] == metrics["eval/r"] == metrics["eval/reward"] == 5 / 7
    assert metrics["eval/failed"] == 1 / 8
    assert metrics["eval/pass@2"] == 1.0  # of the second prompt alone


def test_without_any_reward_there_is_no_accuracy():
    metrics = evaluation_metrics(scored_group([1], [[1]] * 2, [math.nan] * 2), 2, {"": "r"})
    assert metrics == {"eval/failed": 1.0, "eval/truncated": 0.0}
