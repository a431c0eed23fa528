import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards import Scorer
from rewards.math import Math
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError


@pytest.fixture(scope="module")
def verifier():
    return Math(seconds=2.0)


@pytest.fixture
def math(verifier):
    return lambda response, answer: verifier([response], [answer])[0].value


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("42", "42"),
        ("<think>12 + 30</think> 42", "42"),
        ("<answer>42</answer>", "42"),
        ("42.0", "42"),
        ("$1,234.", "1234"),
        ("007", "7"),
        ("-3", "-3.0"),
        ("70,110", "70110"),
        ("\\boxed{\\frac{1}{2}}", "0.5"),
        ("\\boxed{\\frac{2}{4}}", "\\frac{1}{2}"),
        ("\\boxed{0.5}", "$\\frac12$"),
        ("\\boxed{x^2 + 2x + 1}", "(x+1)^2"),
        ("\\boxed{x = 5}", "5"),
        ("x = 5", "5"),
        ("\\boxed{5} and \\boxed{7}", "5, 7"),
        ("\\boxed{\\$36}", "\\$36"),
        ("The answer is **73**.", "73"),
        ("He sold 4 apples.", "4"),
        ("Natalia sold 24 + 48 = 72 clips.\n#### 72", "72"),
        ("72", "Natalia sold 24 + 48 = 72 clips.\n#### 72"),
        ("3", "<answer> 3 </answer>"),
        ("Paris", "Paris"),
        ("\\boxed{\\sum_{i=1}^{n} i^2}", "\\sum_{i=1}^{n} i^2"),
        ("\\boxed{2\\sum_{i=1}^{n} i}", "\\sum_{i=1}^{n} i \\cdot 2"),
        ("\\boxed{2+2=4}", "4"),
    ],
)
def test_a_right_answer_scores_one(math, response, answer):
    assert math(response, answer) == 1.0


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>the answer is 42</think><answer>41</answer>", "42"),
        ("<think>the answer is 42", "42"),
        ("", "42"),
        ("41", "42"),
        ("4.2", "42"),
        ("\\boxed{4} no, wait: \\boxed{5}", "4"),
        ("\\boxed{3=4}", "4"),
        ("3=4", "4"),
        ("\\boxed{x = 3 = 4}", "4"),
        ("\\boxed{5=4=4}", "4"),
        ("\\boxed{\\sum_{i=1}^{100} i}", "5050"),
        ("\\boxed{\\prod_{i=1}^{4} i}", "24"),
        ("\\boxed{\\int_0^4 1 dx}", "4"),
        ("\\boxed{\\lim_{x \\to 4} x}", "4"),
        ("London", "Paris"),
        ("\\boxed{", "4"),
    ],
)
def test_a_wrong_or_evasive_answer_scores_zero(math, response, answer):
    assert math(response, answer) == 0.0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_equal_only_to_themselves(math, a, b):
    for written in (f"{a}", f"{a:,}", f"<think>{b}</think>{a}.", f"\\boxed{{{a}}}"):
        assert math(written, f"{b}") == float(a == b)
        assert math(written, f"{a}") == 1.0


def test_one_call_judges_as_many_do(verifier):
    responses, answers = ["42", "\\boxed{\\sqrt{8}}", "", "41", "\\boxed{x+1}"], ["42", "2\\sqrt2", "1", "42", "1+x"]
    together = verifier(responses, answers)
    assert [score.value for score in together] == [1, 1, 0, 0, 1]
    assert together == [verifier([r], [a])[0] for r, a in zip(responses, answers, strict=True)]
    assert together[2].note == "no answer"


@pytest.mark.parametrize(
    ("option", "response", "answer"),
    [
        ({"percent": "either"}, "4\\%", "4"),
        ({"units": "convert"}, "500\\text{ cm}", "5\\text{ m}"),
        ({"units": "ignore"}, "4\\text{ m}", "4\\text{ cm}"),
        ({"ordered": False}, "(2, 1)", "(1, 2)"),
        ({"tolerance": 1e-2}, "0.333", "\\frac13"),
        ({"simplified": False}, "2+2", "4"),
    ],
)
def test_each_option_changes_what_it_says(math, option, response, answer):
    assert math(f"\\boxed{{{response}}}", answer) == 0
    assert Math(**option, workers=1)([f"\\boxed{{{response}}}"], [answer])[0].value == 1


def test_units_may_be_required(math):
    assert math("5", "5\\text{ cm}") == 1
    assert Math(units="require", workers=1)(["5"], ["5\\text{ cm}"])[0].value == 0


def test_a_wrong_option_is_found_before_training():
    with pytest.raises(ConfigError, match=r"rewards\.math\.args\.percent is 'maybe', but `math` takes Literal\["):
        Scorer({"math": RewardEntry(args={"percent": "maybe"})})


def test_it_works_in_any_thread(rollout):
    found = []
    thread = threading.Thread(
        target=lambda: found.extend(Scorer({"math": RewardEntry()}).score([rollout("\\boxed{\\frac{84}{2}}")]))
    )
    thread.start()
    thread.join()
    assert found[0].reward == 1.0
