import itertools
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import Scorer
from rewards.countdown import MAX_DEPTH, countdown, evaluate
from unigrpo.config import RewardEntry
from unigrpo.errors import DataError


def expressions():
    """Texts of expressions with the value that Python's own precedence gives them."""
    leaves = st.integers(0, 99).map(lambda n: (str(n), Fraction(n), Counter([n]), 2))

    def extend(children):
        return st.tuples(children, st.sampled_from("+-*/"), children, st.booleans()).map(combine)

    return st.recursive(leaves, extend, max_leaves=8).filter(lambda e: e[1] is not None)


def combine(parts):
    (left, a, used_left, rank_left), symbol, (right, b, used_right, rank_right), spaced = parts
    rank = 0 if symbol in "+-" else 1
    left = f"({left})" if rank_left < rank else left
    right = f"({right})" if rank_right <= rank else right
    if a is None or b is None or (symbol == "/" and b == 0):
        value = None
    else:
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[symbol]
    gap = " " if spaced else ""
    return f"{left}{gap}{symbol}{gap}{right}", value, used_left + used_right, rank


@given(expressions())
def test_expressions_have_their_value_and_their_numbers(expression):
    text, value, used, _ = expression
    if len(text) <= 256:
        assert evaluate(text) == (value, used)


@given(st.text(alphabet="0123456789+-*/() .x_", max_size=20))
def test_nothing_makes_the_parser_fail(text):
    found = evaluate(text)
    if found is not None:
        assert set(text) <= set("0123456789+-*/() ")
        assert found[0] == eval_exactly(text)


def eval_exactly(text):
    source = "".join(
        f"Fraction({int(''.join(group))})" if digits else "".join(group)
        for digits, group in itertools.groupby(text.strip(), str.isdigit)
    )
    return eval(source, {"Fraction": Fraction})


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("3*12+15", 1.0),
        ("<think>try</think> (12 * 3) + 15", 1.0),
        ("<answer>15+12*3</answer>", 1.0),
        ("3 \u00d7 12 + 15", 1.0),
        (r"\boxed{3 \times \left(12\right) + 15}", 1.0),
        (r"3 \cdot 12 \div 1", 0.0),
        ("(3)(12)+15", 0.0),
        ("12+15", 0.1),
        ("3+12+15", 0.1),
        ("51", 0.0),
        ("3*17", 0.0),
        ("3*12+15+0", 0.0),
        ("3*12+15=51", 0.0),
        ("3**12", 0.0),
        ("3//12", 0.0),
        ("-3+12", 0.0),
        ("3 12 15", 0.0),
        ("3*(12+15", 0.0),
        ("3/(12-12)", 0.0),
        ("__import__('os').system('true')", 0.0),
        ("3*\u0661\u0662+15", 0.0),
        ("", 0.0),
        ("<think>3*12+15", 0.0),
    ],
)
def test_only_the_given_numbers_used_once_make_the_target(response, value):
    assert countdown(response, numbers=[3, 12, 15], target=51) == value


def test_a_number_given_once_may_be_used_once():
    assert countdown("5+5", numbers=[5, 7], target=10) == 0.0
    assert countdown("5+5", numbers=[5, 5], target=10) == 1.0


def test_quotients_are_exact():
    assert countdown("3/7*7", numbers=[3, 7, 7], target=3) == 1.0


@pytest.mark.parametrize("numbers", ["3,12,15", " 3 12  15 ", "[3, 12, 15]", ["3", "12", "15"], (15, 12, 3)])
def test_the_numbers_may_be_a_list_or_text(numbers):
    assert countdown("3*12+15", numbers=numbers, target="51") == 1.0
    assert countdown("3*12+12", numbers=numbers, target="48") == 0.0


@pytest.mark.parametrize("numbers", ["", "3, x", [3, "x"], "3.5"])
def test_numbers_that_are_none_are_an_error(numbers):
    with pytest.raises(DataError, match="countdown: `numbers` is "):
        countdown("3", numbers=numbers, target=3)


def test_length_and_depth_are_bounded():
    nested = "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH
    assert evaluate(nested) is not None
    assert evaluate(f"({nested})") is None
    assert evaluate("1+" * 200 + "1") is None
    assert countdown("(" * 100000, numbers=[1], target=1) == 0.0


def test_numbers_come_from_the_columns_and_partial_from_the_settings(rollout):
    scorer = Scorer({"countdown": RewardEntry(args={"partial": 0.25})})
    item = rollout("12+15", metadata={"numbers": "3, 12, 15", "target": "51"})
    scorer.check([item.prompt])
    assert scorer.score([item])[0].reward == 0.25
