"""Points that Optuna chooses."""

import math

from unigrpo.config import AxisSection, SearchSection, SweepConfig
from unigrpo.sweeps.points import fits
from unigrpo.sweeps.study import Study

AXES = {
    "lr": AxisSection(key="optim.lr", low=1e-4, high=1e-2, log=True),
    "rule": AxisSection(key="algo.noise.rule", values=["formula", "even"]),
    "pair": AxisSection(key="optim.betas", values=[[0.9, 0.99], [0.9, 0.999]]),
}
CONFIG = SweepConfig(axes=AXES, search=SearchSection(method="optuna", trials=30))


def worth(choices) -> float:
    """Best at the middle of the range, with the first rule."""
    return -abs(math.log10(choices["lr"]) + 3) - (choices["rule"] == "even")


def test_later_points_are_better_than_the_first_ones():
    study, found = Study(CONFIG), []
    for _ in range(30):
        point = study.ask()
        assert fits(AXES, point.choices)
        found.append(worth(point.choices))
        study.tell(point.name, found[-1])
    assert sum(found[-10:]) / 10 > sum(found[:10]) / 10 + 0.2
    assert max(found) > -0.1


def test_points_that_were_asked_for_before_keep_their_names_and_choices():
    first = Study(CONFIG)
    asked = [first.ask() for _ in range(4)]
    again = Study(CONFIG)
    assert [again.ask_again(point.choices) for point in asked] == asked
    assert again.ask().name == "point-004"


def test_a_point_that_failed_does_not_stop_the_search():
    study = Study(CONFIG)
    study.tell(study.ask().name, None)
    assert study.ask().name == "point-001"
