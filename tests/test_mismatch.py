"""Figures of a cache's mismatch in closed form, and a run that stops when it is too large."""

import numpy as np
import pytest

from tests.tiny import IDS
from unigrpo.config import RolloutSection
from unigrpo.errors import TrainingError
from unigrpo.mismatch import check_mismatch, mismatch
from unigrpo.types import Prompt, Rollout, Sampling, Scored


def scored(gaps):
    rollout = Rollout(
        id="0/a/0",
        prompt=Prompt(id="a", task="text", text="", tokens=np.array([IDS.bos])),
        tokens=np.zeros(len(gaps), dtype=np.int64),
        commit_step=np.arange(len(gaps), dtype=np.int32),
        output="",
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=len(gaps), block_length=len(gaps)),
        truncated=False,
        logprobs=np.full(len(gaps), -1.0, dtype=np.float32),
        exact_logprobs=np.array(gaps, dtype=np.float32) - 1.0,
    )
    return Scored(rollout=rollout, reward=0.0, parts={})


def test_figures_are_those_of_the_tokens_that_were_checked():
    found = mismatch([scored([0.0, np.nan, np.log(2.0)]), scored([np.nan, np.nan, -0.1])])
    assert found["rollout/cache_tokens"] == 3
    assert found["rollout/cache_error"] == pytest.approx((np.log(2.0) + 0.1) / 3, rel=1e-5)
    assert found["rollout/cache_outside"] == pytest.approx(1 / 3)
    ratios = np.array([1.0, 2.0, np.exp(-0.1)])
    assert found["rollout/cache_ess"] == pytest.approx(ratios.sum() ** 2 / 3 / (ratios**2).sum(), rel=1e-5)


def test_nothing_is_said_without_a_cache_nor_of_tokens_that_were_not_checked():
    assert mismatch([scored([np.nan, np.nan])]) == {}


def test_a_run_stops_when_the_cache_is_too_far_off_and_not_because_of_a_few_tokens():
    section = RolloutSection(cache="dual", max_cache_error=0.2)
    check_mismatch(mismatch([scored([0.19] * 100)]), section)
    check_mismatch(mismatch([scored([0.5] * 10)]), section)
    with pytest.raises(TrainingError, match=r"cache_error is 0\.5, above rollout\.max_cache_error=0\.2.*cache_refresh"):
        check_mismatch(mismatch([scored([0.5] * 100)]), section)
