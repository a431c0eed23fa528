import math
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.judge.reply import Answer, NoAnswer
from rewards.judge.verdict import Choices, Number
from unigrpo.errors import ConfigError

AB = Choices({"A": 1.0, "B": 0.0}, logprobs=True)
SAFETY = {"safe": 1.0, "not safe": -1.0, "unclear": 0.25}
WORDS = Choices({"Yes": 1, "Partly": 0.5, "No": 0}, logprobs=False)


def said(text: str, cut: bool = False) -> Answer:
    return Answer(text, cut)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_the_score_is_the_mean_over_labels_renormalised(p):
    rest = (("The", 0.3), ("", 0.0), ("C", 0.1))
    score = AB.read(Answer("A", False, ((("A", 0.6 * p), ("B", 0.6 * (1 - p)), *rest),)))
    assert score.value == pytest.approx(p)
    assert score.parts["label_mass"] == pytest.approx(0.6)


def test_spellings_of_a_label_are_added_up():
    first = (("A", 0.2), (" A", 0.1), ("a", 0.1), ("**A", 0.1), ("B", 0.3), (" b.", 0.2))
    assert AB.read(Answer("A", False, (first,))).value == pytest.approx(0.5)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_labels_of_several_tokens_get_their_exact_probabilities(weights, sizes):
    """The oracle is a judge that says each label with a chosen probability, in tokens of chosen lengths."""
    chances = {label: weight / sum(weights) for label, weight in zip(SAFETY, weights, strict=True)}
    first = {label[:size]: chance for (label, chance), size in zip(chances.items(), sizes, strict=True)}
    drawn = max(chances, key=lambda label: chances[label])
    token = next(token for token in first if drawn.startswith(token))
    places = [((token, first.pop(token)), *first.items()), *(((letter, 1.0),) for letter in drawn[len(token) :])]
    score = Choices(SAFETY, logprobs=True).read(Answer(drawn, False, tuple(places)))
    assert score.value == pytest.approx(sum(SAFETY[label] * chances[label] for label in SAFETY))


def test_the_verdict_is_found_behind_a_thought_that_names_the_labels():
    thought = [(("A", 1.0),), ((" or ", 1.0),), (("B?\n", 1.0),), (("Verdict: ", 1.0),)]
    answer = Answer("A or B?\nVerdict: B", False, (*thought, (("B", 0.75), ("A", 0.25))))
    assert AB.read(answer).value == pytest.approx(0.25)


def test_without_log_probabilities_the_text_counts():
    assert AB.read(said("A")).value == 1
    assert AB.read(Answer("A", False, ((("Hm", 1.0),),))).value == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Yes", 1), (" yes.\n", 1), ("**Partly**", 0.5), ("NO!", 0), ("No", 0), ("It adds up.\nVerdict: No", 0),
        ("Answer: **Yes**", 1), ("Yes\nNo", 0), ("Yes, it is", None), ("maybe", None), ("Yes or No", None), ("-", None),
    ],
)  # fmt: skip
def test_labels_are_read_from_the_last_line(text, value):
    score = WORDS.read(said(text))
    assert score.value == value if value is not None else math.isnan(score.value)
    assert value is not None or repr(text.strip()) in score.note


def test_an_answer_that_was_cut_off_counts_only_if_it_is_a_label():
    assert WORDS.read(said("Yes", cut=True)).value == 1
    score = WORDS.read(said("I compare the two:\nNo", cut=True))
    assert math.isnan(score.value)
    assert "give it more max_tokens" in score.note


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 0.7), ("0", 0), ("10", 1), ("7.5", 0.75), ("Score: **7**", 0.7), ("7/10", 0.7), ("8 out of 10", 0.8),
        ("Because of 3 errors:\n4", 0.4), ("10/10", 1), ("11", None), ("-1", None), ("\u22121", None), ("7 or 8", None),
        ("1e3", None), ("7/100", None), ("1,5", None), ("seven", None), ("v2", None), ("1.2.3", None), ("70%", None),
    ],
)  # fmt: skip
def test_a_number_is_scaled_from_its_range(text, value):
    score = Number(0, 10).read(said(text))
    assert score.value == pytest.approx(value) if value is not None else math.isnan(score.value)


def test_a_number_of_another_range():
    assert Number.of([-1, 1]).read(said("-0.5")).value == 0.25
    assert math.isnan(Number.of([1, 5]).read(said("0")).value)
    assert math.isnan(Number(0, 10).read(said("7", cut=True)).value)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (1, 5), (0, 100), (9, 11)])
def test_what_a_constrained_judge_may_say_is_in_the_range(low, high):
    pattern = Number(low, high).request(True)["structured_outputs"]["regex"]
    texts = [f"{n}{tail}" for n, tail in product(range(-2, 130), ("", ".0", ".5", ".25", ".123", "."))]
    for text in filter(re.compile(pattern).fullmatch, texts):
        assert 0 <= Number(low, high).read(said(text)).value <= 1
    assert all(re.fullmatch(pattern, str(number)) for number in range(low, high + 1))


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"A": 1}, "choices are A: give at least two"),
        ({"A": 1, "a.": 0}, "choices are A, a.: give at least two that differ in their letters"),
        ({True: 1, False: 0}, "choices has the label True: write a text, in quotes"),
        ({5: 1, "x": 0}, "choices has the label 5: write a text, in quotes"),
        ({"*": 1, "x": 0}, "choices has the label '*': write a text"),
        ({"A": "1", "B": 0}, "choices.A is '1': give every label a finite number."),
        ({"A": math.nan, "B": 0}, "choices.A is nan: give every label a finite number."),
        ({"A": True, "B": 0}, "choices.A is True: give every label a finite number."),
        ({"good": 1, "Great": 1, "bad": 0}, "choices good and Great begin with the same letter, so that"),
    ],
)
def test_choices_that_cannot_be_told_apart_are_refused(choices, expected):
    with pytest.raises(ConfigError) as caught:
        Choices(choices, logprobs=True)
    assert expected in str(caught.value)


@pytest.mark.parametrize("bounds", [[], [1], [1, 1], [2, 1], [0, math.inf], ["0", 1], [0, 1, 2]])
def test_a_range_has_a_lowest_and_a_highest(bounds):
    with pytest.raises(ConfigError, match="give the lowest and the highest, as in"):
        Number.of(bounds)


def choice(**changes) -> dict:
    return {"choices": [{"message": {"role": "assistant", "content": "A"}, "finish_reason": "stop", **changes}]}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({}, "its reply is no chat completion (KeyError: 'choices'): {}"),
        ([], "its reply is no chat completion (TypeError"),
        ({"choices": []}, "no chat completion (IndexError"),
        (choice(logprobs={"content": [{"token": "A"}]}), "no chat completion (KeyError: 'logprob')"),
        (choice(logprobs={"content": [{"token": "A", "logprob": math.nan}]}), "a log-probability is NaN"),
        (choice(logprobs={"content": [{"token": 1, "logprob": 0.0}]}), "no chat completion (TypeError"),
        (choice(message={"content": None}), "it says nothing (finish_reason stop): give it more max_tokens"),
        (choice(message={"content": " \n"}), "it says nothing"),
        (choice(message={"content": None, "refusal": "I cannot help."}), "it declines: I cannot help."),
        (choice(finish_reason="content_filter"), "it declines: content_filter"),
    ],
)
def test_a_reply_that_is_no_answer_says_why(reply, expected):
    with pytest.raises(NoAnswer) as caught:
        Answer.of(reply)
    assert expected in str(caught.value)


def test_an_answer_comes_back_from_its_json():
    answer = Answer.of(
        choice(
            logprobs={"content": [{"token": "A", "logprob": 0.0, "top_logprobs": [{"token": "B", "logprob": -9999}]}]}
        )
    )
    assert answer.tokens == ((("A", 1.0), ("B", 0.0)),)
    assert Answer.loads(answer.dumps()) == answer
