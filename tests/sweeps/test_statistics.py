"""Intervals over seeds, against closed forms."""

import math

import numpy as np
import pytest

from unigrpo.sweeps.statistics import estimate, paired, quantile, within


def test_quantiles_of_one_and_two_degrees_of_freedom_have_their_closed_forms():
    assert quantile(1) == pytest.approx(math.tan(0.475 * math.pi), rel=1e-9)
    assert quantile(2) == pytest.approx(0.95 * math.sqrt(2) / math.sqrt(1 - 0.95**2), rel=1e-9)


def test_quantiles_fall_to_that_of_a_normal_variable():
    found = [quantile(freedom) for freedom in (1, 2, 3, 10, 100, 10_000)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(1.959964, abs=3e-4)


def test_an_interval_is_that_of_students_t():
    found = estimate([1.0, 2.0, 6.0])
    assert found is not None
    assert found.half is not None
    assert (found.mean, found.count) == (3.0, 3)
    assert found.half == pytest.approx(quantile(2) * math.sqrt(7 / 3))


def test_nothing_is_said_of_the_spread_of_one_value():
    found = estimate([0.5])
    assert found is not None
    assert found.mean == 0.5
    assert found.half is None
    assert estimate([]) is None


def test_an_interval_holds_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(4000, 3))
    found = [estimate(list(row)) for row in draws]
    covered = sum(abs(one.mean) <= (one.half or 0) for one in found if one) / len(draws)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_what_seeds_share_does_not_widen_a_difference():
    start = {0: 0.2, 1: 0.5, 2: 0.9}
    found = paired({seed: value + 0.1 for seed, value in start.items()}, start)
    assert found is not None
    assert found.mean == pytest.approx(0.1)
    assert found.half == pytest.approx(0, abs=1e-12)


def test_a_difference_is_over_the_seeds_of_both():
    found = paired({0: 1.0, 1: 5.0}, {1: 2.0, 2: 9.0})
    assert found is not None
    assert (found.mean, found.count) == (3.0, 1)


def test_within_seeds_two_things_have_the_interval_of_their_difference_over_the_root_of_two():
    values = {"a": {0: 0.1, 1: 0.5, 2: 0.9}, "b": {0: 0.3, 1: 0.6, 2: 1.4}}
    found, difference = within(values), paired(values["b"], values["a"])
    assert difference is not None
    assert {name: one.mean for name, one in found.items()} == pytest.approx({"a": 0.5, "b": 2.3 / 3})
    for one in found.values():
        assert one.half == pytest.approx(difference.half / math.sqrt(2))


def test_what_seeds_share_is_not_in_an_interval_within_them():
    shift = {0: -7.0, 1: 0.0, 2: 30.0}
    values = {
        name: {seed: base + 0.1 * seed * sign for seed in shift} for name, base, sign in (("a", 1, 1), ("b", 2, -1))
    }
    moved = {name: {seed: value + shift[seed] for seed, value in own.items()} for name, own in values.items()}
    for name, one in within(values).items():
        assert within(moved)[name].half == pytest.approx(one.half)


def test_of_one_thing_alone_the_interval_is_the_usual_one():
    assert within({"a": {0: 1.0, 1: 2.0, 2: 6.0}}) == {"a": estimate([1.0, 2.0, 6.0])}
