import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.geneval import RELATIONS, Found, cell, read, relations
from unigrpo.errors import RewardError

NUMBERS = st.floats(0, 100)
BOXES = st.tuples(NUMBERS, NUMBERS, st.floats(1, 50), st.floats(1, 50)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
MIRROR = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def at(x, y, side=10.0):
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (30, 0, {"right of"}),
        (-30, 0, {"left of"}),
        (0, -30, {"above"}),
        (0, 30, {"below"}),
        (30, 30, {"right of", "below"}),
        (-30, -30, {"left of", "above"}),
        (30, 10, {"right of"}),
        (0, 0, set()),
        (1.9, -1.9, set()),
        (2.0, 0, set()),
        (3.9, 0, set()),
        (4.1, 0, {"right of"}),
    ],
)
def test_relations_are_those_of_the_centres_beyond_a_margin(x, y, expected):
    """The margin is a tenth of both sides, 2 here, and what is left must be over half of the distance."""
    assert relations(at(x, y), at(0, 0)) == expected


@given(BOXES, BOXES)
def test_a_relation_holds_the_other_way_round_for_the_other(one, two):
    assert {MIRROR[name] for name in relations(one, two)} == relations(two, one)


@given(BOXES, BOXES)
def test_relations_are_those_of_the_published_formula(one, two):
    centers = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (one, two)]
    expected = set()
    offset = [centers[0][axis] - centers[1][axis] for axis in (0, 1)]
    length = math.hypot(*offset)
    for axis, (less, more) in enumerate((("left of", "right of"), ("above", "below"))):
        sizes = (one[axis + 2] - one[axis]) + (two[axis + 2] - two[axis])
        left = max(abs(offset[axis]) - 0.1 * sizes, 0)
        if left > 1e-3 and left / length > 0.5:
            expected.add(less if offset[axis] < 0 else more)
    assert relations(one, two) == expected


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (8, 8, "top left"),
        (24, 8, "top right"),
        (8, 24, "bottom left"),
        (24, 24, "bottom right"),
        (17, 8, ""),
        (8, 13, ""),
    ],
)
def test_a_corner_is_clear_of_the_middle(x, y, expected):
    assert cell(Found("circle", at(x, y)), (32, 32)) == expected


@pytest.mark.parametrize(
    ("include", "problem"),
    [
        ([], "`include` is []: give a list of objects with `class` and `count`."),
        ("circle", "`include` is 'circle': give a list"),
        (None, "`include` is None: give a list"),
        (["circle"], "entry 0 of `include` is 'circle': give it `class` and `count`."),
        ([{"class": "circle"}], "entry 0 of `include` is {'class': 'circle'}: give it `class` and `count`."),
        ([{"class": "a", "count": 0}], "set `count` to a whole number of 1 or more."),
        ([{"class": "a", "count": True}], "set `count` to a whole number of 1 or more."),
        ([{"class": "a", "count": 1, "colour": "red"}], "`colour` means nothing there. Remove it."),
        (
            [{"class": "a", "count": 1, "position": ["near", 0]}],
            "`position` is [relation, index of another entry], with",
        ),
        (
            [{"class": "a", "count": 1, "position": ["above", 0]}],
            "`position` is [relation, index of another entry], with",
        ),
        (
            [{"class": "a", "count": 1, "position": ["above", 7]}],
            "`position` is [relation, index of another entry], with",
        ),
        ([{"class": "a", "count": 1, "position": ["in", "middle"]}], "with one of top left, top right, bottom left,"),
    ],
)
def test_a_row_that_is_not_in_the_layout_is_an_error(include, problem):
    with pytest.raises(RewardError) as error:
        read(include, "include")
    assert problem in str(error.value)


def test_what_must_not_be_seen_is_optional_and_has_no_place():
    assert read(None, "exclude") == read([], "exclude") == []
    with pytest.raises(RewardError, match=r"entry 0 of `exclude`.*`position` means nothing there"):
        read([{"class": "a", "count": 1, "position": ["in", "top left"]}], "exclude")


def test_relations_have_the_names_of_the_published_prompts():
    assert set(RELATIONS) == set(MIRROR)
