"""A response against the answer, word by word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.reports.words import compared


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_character_is_lost(output, gold):
    said, asked = compared(output, gold)
    assert "".join(text for _, text in said) == output
    assert "".join(text for _, text in asked) == gold


@given(st.lists(st.sampled_from("abcde"), max_size=12))
def test_an_answer_agrees_with_itself_in_every_word(words):
    text = " ".join(words)
    said, asked = compared(text, text)
    assert said == ([("same", text)] if text else [])
    assert asked == ([("", text)] if text else [])


@pytest.mark.parametrize(
    ("output", "gold", "said", "asked"),
    [
        ("the top left", "top up", [("", "the "), ("same", "top"), ("", " left")], [("", "top "), ("missing", "up")]),
        ("Top LEFT", "top left", [("same", "Top LEFT")], [("", "top left")]),
        ("7 and 7", "7", [("", "7 and "), ("same", "7")], [("", "7")]),
        ("<think>7</think>8", "7", [("", "<think>"), ("same", "7"), ("", "</think>8")], [("", "7")]),
        ("7<answer>8</answer>", "7", [("", "7<answer>8</answer>")], [("missing", "7")]),
        ("7<answer>7</answer>", "7", [("", "7<answer>"), ("same", "7"), ("", "</answer>")], [("", "7")]),
        ("", "7", [], [("missing", "7")]),
    ],
)  # fmt: skip
def test_words_that_agree_and_words_that_lack_are_told_apart(output, gold, said, asked):
    assert compared(output, gold) == (said, asked)


def test_without_an_answer_nothing_is_marked():
    assert compared("some words", None) == ([("", "some words")], [])
