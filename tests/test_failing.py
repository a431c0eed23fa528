import math
from dataclasses import replace

import pytest

from tests.tiny import scored_group
from unigrpo.config import ScoringSection
from unigrpo.errors import RewardError, TrainingError
from unigrpo.failing import Failing, check_failed


def step(failed: int, of: int = 10):
    scored = scored_group([1], [[1]] * of, [math.nan] * failed + [1.0] * (of - failed))
    return [replace(item, notes={"r": "no answer"} if not item.known else {}) for item in scored]


def test_a_run_stops_after_too_many_steps_in_a_row_with_too_many_failures():
    failing = Failing(ScoringSection(max_failed=0.2, max_failed_steps=2))
    for count in (2, 10, 3, 2, 10, 10):
        failing.check(step(count))
    with pytest.raises(TrainingError) as error:
        failing.check(step(3))
    assert str(error.value) == (
        "30% of the rollouts have no reward, and too many had none in 3 steps in a row (scoring.max_failed=0.2): "
        "no answer"
    )


def test_without_tolerance_one_step_is_enough():
    with pytest.raises(TrainingError, match="10% of the rollouts have no reward"):
        Failing(ScoringSection(max_failed=0, max_failed_steps=0)).check(step(1))


def test_an_evaluation_says_where_its_responses_are():
    check_failed(step(1), 0.1, "here")
    with pytest.raises(RewardError, match=r"20% of the responses have no reward \(max_failed=0\.1\); here holds them"):
        check_failed(step(2), 0.1, "here")
