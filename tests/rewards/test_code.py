import json
import math
import time

import pytest

from rewards import Scorer, resolve
from rewards.code import Code, program
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, DataError

PROMPT = '''import math


def poly(xs, x):
    """Value of a polynomial."""
    return sum(c * math.pow(x, i) for i, c in enumerate(xs))


def find_zero(xs):
    """A zero of a polynomial of degree one."""
'''
TEST = """
METADATA = {}

def check(candidate):
    for xs in ([1.0, 2.0], [-3.0, 1.5]):
        assert math.fabs(poly(xs, candidate(xs))) < 1e-4
"""
WHOLE = "def find_zero(xs):\n    return -xs[0] / xs[1]\n"
MBPP = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add(0, 9) == 9", "assert add(2, 2) == 4"]


def human_eval(response, **settings):
    return Code(**settings)([response], [PROMPT], test=[TEST], entry_point=["find_zero"])[0]


def mbpp(response, **settings):
    return Code(**settings)([response], ["Write a function that adds."], test_list=[MBPP])[0]


@pytest.mark.parametrize(
    "response",
    [
        "    return -xs[0] / xs[1]\n",
        "return -xs[0] / xs[1]",
        "y = -xs[0]\n    return y / xs[1]",
        "y = -xs[0]\nreturn y / xs[1]",
        f"<think>easy</think>\n```python\n{WHOLE}```\nThat is it.",
        f"First:\n```python\ndef find_zero(xs): return 0\n```\nNo:\n```python\nfrom typing import List\n{WHOLE}```",
        f"<think>```python\n1/0\n```</think><answer>```py\n{WHOLE}\n```</answer>",
        f"{PROMPT}    return -xs[0] / xs[1]",
        "```python\n" + WHOLE,
        "find_zero = lambda xs: -xs[0] / xs[1]",
    ],
)
def test_a_completion_or_a_whole_program_is_judged_by_check(response):
    assert human_eval(response).value == 1


@pytest.mark.parametrize(
    "response",
    [
        "    return 1.0",
        f"<think>```python\n{WHOLE}```",
        "",
        "```python\n```",
        "poly = lambda *a: 0\ndef find_zero(xs): return 0",
        "def check(f): pass\ndef find_zero(xs): return 0",
        "class math:\n    fabs = lambda x: 0\ndef find_zero(xs): return 0",
        f"```json\n{WHOLE}```",
        "It is minus b over a.",
    ],
)
def test_what_is_no_solution_earns_nothing(response):
    score = human_eval(response)
    assert score.value == 0
    assert score.note


def test_a_prompt_that_shows_the_beginning_in_a_fence_can_be_completed():
    prompt = f"Complete this:\n```python\n{PROMPT}```\n"
    scores = Code()(
        ["    return -xs[0] / xs[1]", WHOLE, "    return 1"],
        [prompt] * 3,
        test=[TEST] * 3,
        entry_point=["find_zero"] * 3,
    )
    assert [score.value for score in scores] == [1, 1, 0]


def test_statements_are_counted_one_by_one():
    half = "def add(a, b):\n    return a + b if a < 1 else 3"
    assert mbpp(half).value == 0
    assert mbpp(half, partial=True).value == 0.75
    assert mbpp("def add(a, b): return a + b").value == 1
    assert "test 4 of 4" in mbpp(half).note


def test_setup_and_columns_that_are_json_are_read():
    setup = {"test_setup_code": ["import math as m"], "test_imports": [["from math import pi"]]}
    tests = [json.dumps(["assert area(1) == pi == m.pi"])]
    response = "import math\ndef area(r): return math.pi * r * r"
    assert Code()([response], ["area"], test_list=tests, **setup)[0].value == 1


def test_what_is_written_is_compared_line_by_line():
    columns = {"inputs": [["1 2\n", "3 4\n"]], "outputs": [["3\n", "7\n"]]}
    assert Code()(["print(sum(map(int, input().split())), '')"], ["add"], **columns)[0].value == 1
    assert Code(partial=True)(["print(3)"], ["add"], **columns)[0].value == 0.5


def test_how_a_program_stopped_its_judge_is_reported():
    responses = ["while True: pass", "x = [0] * 10 ** 11", "import ctypes; ctypes.string_at(0)", "1 / 0"]
    scores = Code(seconds=1, workers=2)(responses, [""] * 4, test_list=[MBPP] * 4)
    assert [score.fault for score in scores] == ["timeout", "memory", "crash", ""]
    assert [score.value for score in scores] == [0] * 4
    assert scores[3].note == "ZeroDivisionError: division by zero"


def test_each_response_gets_its_own_score_and_they_run_beside_each_other():
    sleepy = "import time\ntime.sleep(2)\ndef add(a, b): return "
    start = time.monotonic()
    scores = Code(workers=8)([sleepy + ("a + b" if i % 3 else "5") for i in range(8)], [""] * 8, test_list=[MBPP] * 8)
    assert [score.value for score in scores] == [0, 1, 1, 0, 1, 1, 0, 1]
    assert time.monotonic() - start < 8 * 2


def test_a_machine_that_cannot_start_a_process_gives_no_value(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    score = mbpp("def add(a, b): return a + b")
    assert math.isnan(score.value)
    assert (score.fault, score.note[:27]) == ("error", "the sandbox did not start: ")


def test_columns_and_settings_come_from_the_data_and_the_config(rollout):
    scorer = Scorer({"code": RewardEntry(args={"partial": True, "seconds": 5})})
    items = [
        rollout("def add(a, b): return 3", id="a", metadata={"test_list": MBPP}),
        rollout("print(input())", id="b", metadata={"inputs": ["x"], "outputs": ["x"]}),
    ]
    scorer.check([item.prompt for item in items])
    assert [scored.reward for scored in scorer.score(items)] == [0.25, 1.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "has no tests: give it the columns"),
        ({"test_list": [[]]}, "`test_list` of a row is empty"),
        ({"test_list": ["assert"]}, "`test_list` of a row is text, but no JSON"),
        ({"test_list": [[1]]}, "holds 1: each of its entries is text"),
        ({"inputs": [["1"]], "outputs": [["1", "2"]]}, "has 1 `inputs` and 2 `outputs`"),
        ({"test": ["assert True"], "entry_point": ["f"]}, "defines no `check`"),
        ({"test_list": [["assert f(1"]]}, "the tests of a program are no Python"),
    ],
)
def test_a_row_without_tests_that_work_is_an_error(columns, message):
    with pytest.raises(DataError, match=message):
        Code()(["x = 1"], ["p"], **columns)


@pytest.mark.parametrize(("key", "value"), [("seconds", 0), ("memory_mb", 1), ("workers", 0)])
def test_a_setting_that_cannot_work_is_found_before_training(key, value):
    with pytest.raises(ConfigError, match=rf"rewards\.code: args\.{key} is {value}: set it to"):
        resolve("code", RewardEntry(args={key: value}))


def test_the_program_is_found_in_linear_time():
    start = time.process_time()
    for text in (
        "```python\n" * 30000,
        "```" * 100000,
        "<answer>" * 50000,
        "~~~\n```\n" * 30000,
        " " * 200000 + "```x",
    ):
        program(text)
    assert time.process_time() - start < 2
