import signal
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards import Scorer
from rewards.math import math
from unigrpo.config import RewardEntry
from unigrpo.errors import RewardError


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
def test_a_right_answer_scores_one(response, answer):
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
def test_a_wrong_or_evasive_answer_scores_zero(response, answer):
    assert math(response, answer) == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_equal_only_to_themselves(a, b):
    for written in (f"{a}", f"{a:,}", f"<think>{b}</think>{a}.", f"\\boxed{{{a}}}"):
        assert math(written, f"{b}") == float(a == b)
        assert math(written, f"{a}") == 1.0


@pytest.mark.parametrize(
    "text", ["1 " * 20000, "\\boxed{" * 20000, "(" * 5000, "\\[ " * 3000, "9" * 20000, "\\boxed{" + "9" * 5000 + "}"]
)
def test_degenerate_responses_score_zero_quickly(text):
    start = time.process_time()
    assert math(text, "42") == 0.0
    assert time.process_time() - start < 2.0


def test_an_endless_computation_is_stopped_and_wrong():
    start = time.monotonic()
    assert math("\\boxed{1000000000!}", "4") == 0.0
    assert time.monotonic() - start < 12


def test_an_alarm_of_the_caller_goes_on():
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    outer = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        math("\\boxed{\\frac{7}{14}}", "0.50")
        remaining = signal.getitimer(signal.ITIMER_REAL)[0]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)
    assert 90 < remaining < 100


def test_outside_the_main_thread_it_is_an_error_and_not_a_zero(rollout):
    errors = []

    def score():
        try:
            Scorer({"math": RewardEntry()}).score([rollout("42")])
        except RewardError as error:
            errors.append(str(error))

    thread = threading.Thread(target=score, name="scoring")
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert errors[0].startswith("rewards.math was called in thread scoring, but its time limits are signals")
    assert "score in the main thread of a process" in errors[0]
