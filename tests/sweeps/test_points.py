"""Which points are tried."""

from dataclasses import replace

import pytest

from unigrpo.config import AxisSection, SearchSection, SweepConfig
from unigrpo.sweeps.points import Point, at, choices, fits, grid, points_of, shown, value_of

AXES = {
    "mu": AxisSection(key="algo.mu", values=[1, 2]),
    "how": AxisSection(overlays={"plain": [], "full": ["full.yaml"]}),
    "lr": AxisSection(key="optim.lr", low=1e-4, high=1e-2, log=True, points=3),
}
RANGES = {
    "lr": AxisSection(key="optim.lr", low=1e-4, high=1e-2, log=True),
    "mu": AxisSection(key="algo.mu", low=1, high=4, integer=True),
    "rule": AxisSection(key="algo.noise.rule", values=["formula", "even"]),
}


def random_search(count: int, seed: int = 0) -> list[Point]:
    return points_of(SweepConfig(axes=RANGES, search=SearchSection(method="random", trials=count, seed=seed)))


def test_a_grid_is_every_combination_and_each_once():
    found = points_of(SweepConfig(axes=AXES))
    assert len(found) == 2 * 2 * 3 == len({point.name for point in found})
    assert len({tuple(point.choices.values()) for point in found}) == 12
    assert [point.choices["lr"] for point in found[:3]] == choices(AXES["lr"])


def test_the_middle_of_a_logarithmic_range_is_its_geometric_mean():
    assert choices(AXES["lr"]) == [1e-4, pytest.approx(1e-3), 1e-2]
    assert at(replace(AXES["lr"], log=False), 0.5) == pytest.approx((1e-4 + 1e-2) / 2)


def test_whole_numbers_that_coincide_are_tried_once():
    assert choices(AxisSection(key="algo.mu", low=1, high=3, integer=True, points=9)) == [1, 2, 3]


def test_more_trials_leave_the_first_points_of_a_random_search_what_they_were():
    assert random_search(20)[:5] == random_search(5)
    assert random_search(5, seed=1) != random_search(5)


def test_random_points_are_spread_over_the_axes_evenly():
    found = random_search(2000)
    assert all(fits(RANGES, point.choices) for point in found)
    for axis, value, share in (("mu", 1, 1 / 4), ("mu", 4, 1 / 4), ("rule", "even", 1 / 2)):
        assert sum(point.choices[axis] == value for point in found) / 2000 == pytest.approx(share, abs=0.05)
    assert sum(point.choices["lr"] < 1e-3 for point in found) / 2000 == pytest.approx(0.5, abs=0.05)


def test_choices_that_look_alike_have_folders_of_their_own():
    found = points_of(SweepConfig(axes={"path": AxisSection(key="data.path", values=["a/b", "a-b", "../x"])}))
    names = [point.name for point in found]
    assert len(set(names)) == 3
    assert not any("/" in name or ".." in name or "=" in name for name in names)


def test_numbers_near_one_are_told_apart_and_drawn_ones_are_short():
    told = {0.999: "0.999", 0.9999: "0.9999", 0.99995: "0.99995", 0.99999: "0.99999", 1.0: "1", 2e-05: "2e-05"}
    assert {value: shown(value) for value in told} == told
    assert shown(0.00044303752452182633) == "0.000443"


@pytest.mark.parametrize("sign", ["x", "\u601d", "\U00020000"])
def test_long_choices_have_folders_of_their_own_that_a_file_system_takes(tmp_path, sign):
    found = grid({"instruction": AxisSection(key="data.instruction", values=[sign * 300 + end for end in "ab"])})
    for point in found:
        (tmp_path / point.name).mkdir()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_choice_stands_for_a_nested_setting_or_for_files():
    assert value_of(AXES["mu"], 2) == ({"algo": {"mu": 2}}, [])
    assert value_of(AXES["how"], "full") == ({}, ["full.yaml"])


@pytest.mark.parametrize(
    "choices", [{"lr": 1.0, "mu": 1, "rule": "even"}, {"lr": 1e-3, "mu": 1}, {"lr": 1e-3, "mu": 1, "rule": "x"}]
)
def test_a_point_off_the_axes_is_told(choices):
    assert not fits(RANGES, choices)
