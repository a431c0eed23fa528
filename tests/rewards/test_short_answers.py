import itertools

import pytest

from rewards.vqa import agreement, evened, vqa
from rewards.yes_no import yes_no
from unigrpo.errors import DataError


@pytest.mark.parametrize(
    ("response", "says"),
    [
        ("yes", True),
        ("Yes, there is.", True),
        ("<think>no, wait</think> Yes", True),
        ("<answer>No</answer>", False),
        ("There is not.", False),
        ("No. Yes would be wrong.", False),
        ("eyes", None),
        ("", None),
        ("<think>yes", None),
    ],
)
def test_the_first_yes_or_no_of_the_answer_part_counts(response, says):
    for answer, wanted in (("yes", True), ("No", False)):
        score = yes_no(response, answer)
        assert (score.value, score.parts["yes"]) == (float(says is wanted), float(says is True))


def test_a_gold_that_is_neither_is_refused():
    with pytest.raises(DataError, match="the answer is 'maybe', but must be yes or no"):
        yes_no("yes", "maybe")


@pytest.mark.parametrize("agree", range(11))
def test_consensus_is_the_mean_over_all_who_may_be_left_out(agree):
    people = ["x"] * agree + ["y"] * (10 - agree)
    subsets = itertools.combinations(people, 9)
    expected = [min(1, sum(one == "x" for one in others) / 3) for others in subsets]
    assert agreement("x", people) == pytest.approx(sum(expected) / 10)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Cat.", "cat"),
        ("two", "2"),
        ("dont know", "don't know"),
        ("black/white", "black white"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("yes!", "yes"),
        ("t-shirt", "t shirt"),
    ],
)
def test_answers_that_say_the_same_are_evened_out(one, other):
    assert evened(one) == evened(other)


def test_what_differs_stays_different():
    assert (
        len(
            {evened(text) for text in ("3.5", "35", ".25", "25", "a", "the", "well", "we'll", "cat", "cats", "no", "0")}
        )
        == 12
    )


def test_an_answer_is_compared_with_the_only_one_or_with_all():
    assert vqa("<answer>A red car</answer>", "red car") == 1
    assert vqa("red", "blue", ["red"] * 2 + ["blue"] * 8) == pytest.approx(0.6)
    assert vqa("", "blue", ["red"] * 10) == 0


@pytest.mark.parametrize("letter", ["a", "A.", "the"])
def test_an_empty_answer_is_not_the_letter_on_a_sign(letter):
    assert vqa("", letter) == 0
    assert vqa("<think>hm</think>", "blue", [letter] * 10) == 0
    assert vqa(letter, letter) == vqa(f"<think>hm</think> {letter}", letter, [letter] * 10) == 1
