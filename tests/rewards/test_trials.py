import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import trials
from rewards.extract import answer_part
from rewards.format import format as has_format
from rewards.trials import ANOTHER, BOXED_FORMAT, FORMAT, degenerate, differ, filled, mutated, responding, writings
from unigrpo.types import Prompt

numbers = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.decimals(-10000, 10000, places=2).map(str),
    st.integers(1000, 10**9).map(lambda n: f"{n:,}"),
)


def value(text: str) -> Fraction:
    sign, digits, percent = re.fullmatch(r"\s*\\?\$?([+-]?)([\d.,]+)\s*\\?(%?)\s*", text).groups()
    return Fraction(Decimal(sign + digits.replace(",", ""))) / (100 if percent else 1)


@given(numbers)
def test_a_mutated_number_never_has_the_value_of_the_number(gold):
    found = dict(mutated(gold, "How many?", None))
    assert "number + 1" in found
    for name, wrong in found.items():
        assert value(wrong) != value(gold), name


@given(numbers)
def test_one_more_is_one_more_in_size(gold):
    assert abs(value(dict(mutated(gold, "", None))["number + 1"])) == abs(value(gold)) + 1


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ("18", {"19", "81", "-18", "18%"}),
        ("-7.50", {"-8.50", "7.50", "-7.05", "-7.50%"}),
        (r"\$1,200", {r"\$1201", r"\$-1,200", r"\$1,020", r"\$1,200%"}),
        ("0", {"1"}),
        ("25%", {"26%", "52%", "-25%"}),
        ("C", {"D"}),
        ("(J)", {"(A)"}),
        ("Yes", {"no"}),
        (r"\frac{1}{2}", {r"\frac{2}{2}"}),
        ("Paris", set()),
    ],
)
def test_wrong_answers_are_near_the_right_one(gold, expected):
    assert {wrong for _, wrong in mutated(gold, "How many?", None)} == expected


def test_a_question_about_percent_may_be_answered_with_the_sign():
    assert "a percent sign" not in dict(mutated("18", "What percentage of them?", None))


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 9))
def test_answers_that_may_be_equal_do_not_differ(a, b, factor):
    for one, other in (
        (f"{a}/{b}", f"{factor * a}/{factor * b}"),
        (str(a), f"{a}.0"),
        (str(a), f"{100 * a}"),
        ("A", "(a)."),
    ):
        assert not differ(one, other)
        assert not differ(other, one)


@given(numbers, numbers)
def test_numbers_that_differ_are_different(one, other):
    if differ(one, other):
        assert abs(value(one)) != abs(value(other))


@pytest.mark.parametrize("template", ["<think>{t}</think> {answer}", "<a>{x}</a><answer>{answer}</answer>", "Out: {x}"])
@pytest.mark.parametrize("gold", ["42", r"\frac{1}{2}", "(B)"])
def test_a_filled_template_has_its_format_and_the_answer_in_its_place(template, gold):
    response = filled(template, gold)
    assert has_format(response, template) == 1
    assert answer_part(response).removeprefix("Out: ") == gold
    assert set(writings(gold, "text", template)) >= {FORMAT, BOXED_FORMAT}


@given(numbers, st.lists(numbers, max_size=5))
def test_degenerate_responses_do_not_give_the_answer(gold, others):
    others = [other for other in others if differ(gold, other)]
    found = dict(degenerate(gold, f"What is {gold}?", others))
    assert found["empty"] == ""
    assert not found["white space"].strip()
    assert "the prompt" not in found  # it would hold the answer
    assert gold not in found["one digit again and again"].split()
    assert not re.search(r"[0-9A-Z]", found["long garbage"])
    if others:
        listed = found["all answers at once"].split(", ")
        assert gold in listed[1:-1]
        assert len(set(listed)) > 1
    else:
        assert "all answers at once" not in found


def test_another_row_is_answered_first():
    assert next(mutated("18", "", "20")) == (ANOTHER, "20")


def test_a_trial_has_a_token_for_each_word_and_one_for_its_end():
    prompt = Prompt(id="p:1", task="text", text="?", tokens=np.arange(3))
    rollout = responding(prompt, "a b a", "x")
    assert rollout.tokens[0] == rollout.tokens[2] != rollout.tokens[1]
    assert len(rollout.tokens) == rollout.sampling.gen_length == 4
    assert rollout.tokens[-1] not in rollout.tokens[:-1]
    assert len(responding(prompt, "", "x").tokens) == 1
    assert rollout.image is None


def test_pictures_of_nothing_are_grey_and_noise():
    grey, noise = trials.pictures(8).values()
    assert np.ptp(grey) == 0
    assert noise.std() > 50
    prompt = Prompt(id="p:1", task="image", text="?", tokens=np.arange(3))
    assert responding(prompt, "", "x", noise).image is noise
