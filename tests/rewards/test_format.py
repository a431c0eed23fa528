import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import Scorer, resolve
from rewards.format import format as format_reward
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("<think>1 < 2</think> 42", 1),
        ("<think>a</think>42", 1),
        ("\n<think>\na\n</think>\n\n42\n", 1),
        ("<think>vector<int></think> 42", 1),
        ("<think>a</think> x < 5", 1),
        ("<think></think> 42", 0),
        ("<think> </think> 42", 0),
        ("<think>a</think>", 0),
        ("<think>a</think> ", 0),
        ("<think>a", 0),
        ("42", 0),
        ("so <think>a</think> 42", 0),
        ("<think>a</think><think>b</think> 42", 0),
        ("<think>a<think>b</think> 42", 0),
        ("<think>a</think> 42</think>", 0),
        ("<think>a</think> 42 <think>b</think>", 0),
        ("<think>a</think> <answer>42</answer>", 0),
        ("", 0),
    ],
)
def test_the_default_template_is_one_think_block_and_an_answer(response, value):
    assert format_reward(response) == value


ANSWER = "<think>{think}</think> <answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("template", "response", "value"),
    [
        (ANSWER, "<think>a</think><answer>b</answer>", 1),
        (ANSWER, "<think>a</think> so <answer>b</answer>", 0),
        (ANSWER, "<think>a</think><answer>b</answer> c", 0),
        (ANSWER, "<think>a</think><answer>b</answer><answer>c</answer>", 0),
        ("{work} #### {answer}", "1 + 1\n#### 2", 1),
        ("{work} #### {answer}", "#### 2", 0),
        ("Final answer: {answer}", "Final\nanswer:2", 1),
        ("Final answer: {answer}", "Final answer:", 0),
    ],
)
def test_a_template_of_ones_own_is_matched(template, response, value):
    assert format_reward(response, template=template) == value


words = st.text(alphabet="ab <1", min_size=1).filter(str.strip)


@given(words, words, st.sampled_from(["", " ", "\n"]))
def test_whatever_fills_the_spans_matches(think, answer, gap):
    assert format_reward(f"{gap}<think>{gap}{think}</think>{gap}{answer}{gap}") == 1


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("<think></think>", "has no `{name}`"),
        ("<think>{think</think>", "has a brace that is not part of a `{name}`"),
        ("<think>{}</think>", "has a brace that is not part of a `{name}`"),
        ("{a}{b}", "has two spans with no text between them"),
        ("{a} x {a}", "has `{a}` twice"),
        (3, "is no text"),
    ],
)
def test_a_bad_template_is_found_before_training(template, problem):
    with pytest.raises(ConfigError) as error:
        resolve("format", RewardEntry(args={"template": template}))
    assert str(error.value) == (
        f"rewards.format.args.template {problem}: {template!r}. Write it like '<think>{{think}}</think> {{answer}}'."
    )


def test_the_template_comes_from_the_settings(rollout):
    scorer = Scorer({"format": RewardEntry(args={"template": "A: {answer}"})})
    assert [s.reward for s in scorer.score([rollout("A: 42"), rollout("42")])] == [1.0, 0.0]


def test_a_degenerate_response_takes_linear_time():
    start = time.process_time()
    assert format_reward("<think>" * 50000) == 0
    assert format_reward("<think>" + "</think " * 50000) == 0
    assert time.process_time() - start < 1.0
