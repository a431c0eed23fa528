import signal
import time

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.maths.options import Options
from rewards.maths.verifier import verify

OPTIONS = Options()
LENIENT = Options(simplified=False)
X, Y = sympy.symbols("x y")
ATOMS = st.sampled_from(
    [X, Y, sympy.pi, sympy.sqrt(2), sympy.E, sympy.I, *map(sympy.Integer, (1, 2, 3, 5)), sympy.Rational(2, 7)]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a - 3 * b, inner, inner),
        st.builds(lambda a: a**2, inner),
        st.builds(sympy.sin, inner),
        st.builds(sympy.exp, inner),
    ),
    max_leaves=5,
)
INTEGERS = st.integers(-50, 50)


def right(answer: str, gold: str, options: Options = OPTIONS) -> bool:
    return verify(answer, gold, options)[0]


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS)
def test_rewriting_an_expression_changes_no_verdict_and_adding_to_it_does(expression):
    gold = sympy.latex(expression)
    for form in (sympy.expand(expression), sympy.factor(expression), sympy.together(expression)):
        assert right(sympy.latex(form), gold, LENIENT)
        assert right(sympy.latex(form, mul_symbol="times", fold_short_frac=True), gold, LENIENT)
    for other in (expression + 1, expression + sympy.Rational(1, 10**9), 2 * expression + 1):
        if sympy.N((other - expression).subs({X: 1.3, Y: 0.7})) != 0:
            assert not right(sympy.latex(other), gold, LENIENT)


@settings(max_examples=60, deadline=None)
@given(st.lists(INTEGERS, min_size=2, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_a_set_has_no_order_and_a_tuple_has(values, random):
    other = random.sample(values, len(values))
    listed, shuffled = (", ".join(map(str, order)) for order in (values, other))
    assert right(rf"\{{{shuffled}\}}", rf"\{{{listed}\}}")
    assert right(shuffled, rf"\{{{listed}\}}")
    assert right(f"({shuffled})", f"({listed})") == (values == other)
    assert not right(rf"\{{{listed}\}}", f"({listed})")
    assert not right(rf"\{{{listed}, 51\}}", rf"\{{{listed}\}}")
    assert not right(str(values[0]), listed)


@settings(max_examples=60, deadline=None)
@given(INTEGERS, INTEGERS, st.sampled_from(["()", "[)", "(]", "[]"]), st.sampled_from(["()", "[)", "(]", "[]"]))
def test_an_interval_is_its_inequality_and_its_ends_count(low, high, ends, others):
    if low >= high:
        return
    left, right_ = ("<" if end in "()" else r"\le" for end in ends)
    interval = f"{ends[0]}{low}, {high}{ends[1]}"
    assert right(rf"{low} {left} x {right_} {high}", interval)
    assert right(interval, rf"{low} {left} x {right_} {high}")
    assert right(f"{others[0]}{low}, {high}{others[1]}", interval) == (ends == others)
    assert not right(rf"{low} {left} x {right_} {high + 1}", interval)


@settings(max_examples=60, deadline=None)
@given(INTEGERS, INTEGERS, st.integers(1, 9))
def test_a_line_is_the_same_line_in_every_form(slope, height, times):
    gold = f"y={slope}x+{height}" if height >= 0 else f"y={slope}x{height}"
    assert right(rf"{slope * times}x - {times}y = {-height * times}", gold)
    assert not right(rf"{slope * times}x - {times}y = {-height * times + 1}", gold)
    assert not right(f"{slope}x-y+{height + 1}=0", gold)


@pytest.mark.parametrize(
    ("answer", "gold", "reason"),
    [
        (r"\sum_{i=1}^{100} i", "5050", "unevaluated sum"),
        ("|-4|", "4", "unevaluated abs"),
        ("2+2", "4", "arithmetic left undone"),
        ("3=4", "4", "an equation that is false"),
        ("9^{9^{9^9}}", "4", "a power too large"),
        ("(" * 60 + "4" + ")" * 60, "4", "nested too deep"),
        ("41", "4", "another value"),
    ],
)
def test_a_refusal_says_why(answer, gold, reason):
    assert verify(answer, gold, OPTIONS) == (False, reason)


BIG = (
    r"\begin{pmatrix}" + r"\\".join("&".join(f"x_{{{i * j}}}" for i in range(20)) for j in range(20)) + r"\end{pmatrix}"
)
ATTACKS = [
    "9^{9^{9^{9}}}",
    "9**9**9**9",
    "10^{10^{10}}",
    "2^{1000000000}",
    "1000000000!",
    "9!!!!!!",
    "((9!)!)!",
    r"\binom{10^9}{5\cdot10^8}",
    r"\sum_{i=1}^{10^9} i^i",
    r"\prod_{i=1}^{10^7}(i+\sqrt i)",
    r"\sum_{i=1}^{100}\sum_{j=1}^{100}\sum_{k=1}^{100} 1",
    "(x+1)^{100000}",
    "(x+y+z+1)^{200}",
    r"\lfloor\pi^{10000000}\rfloor",
    r"\log\log\log 10^{10^{10^{10}}}",
    "e^{e^{e^{e^9}}}",
    "(" * 5000 + ")" * 5000,
    "{" * 5000,
    "1 " * 30000,
    r"\{" + ",".join(map(str, range(300))) + r"\}",
    BIG,
    r"\det" + BIG,
    r"\boxed{" * 2000,
    "9" * 100000,
    "4\0",
    "\ud800 4",
    "\u202e24",
    "\x1b[31m4\x1b[0m",
    r"\frac{" * 400,
    r"\sqrt" * 400,
    "-" * 900 + "4",
    r"\pm" * 300 + "4",
    "|" * 900,
    r"\left(" * 300,
    "$ " * 5000,
    r"\[ " * 3000,
    "4 or " * 300,
    "1," * 400,
    r"\text{" * 300,
    "^" * 800,
    "_" * 800,
    "4" + "!" * 500,
    "4" + "'" * 500,
    r"\sin" * 300,
    "1e999999999",
    "10^{-10^{10}}",
    r"\sqrt[1000000000]{2}",
    "x^{x^{x^{x^x}}}",
    "((((x+1)^{99}+1)^{99}+1)^{99}+1)^{99}",
    "1/0",
    "0^0",
    r"\log 0",
    r"\infty-\infty",
    r"\sin(10^{10^7})",
    "½" * 300,
    "²" * 500,
    "√" * 500,
    "**" * 400,
    "__import__('os').system('ls')",
    r"\foo" * 50,
    r"\foo^{9^{9^9}}",
    r"\gcd(10^{100000},3)",
    "=".join(["4"] * 300) + "=5",
]
GOLDS = ["4", "x=4", r"\{1,2\}", r"(2,\infty)", r"\frac{1}{3}", "x^2+1", r"\int x dx", "x^2+y^2=4", r"\text{Yes}"]


def test_no_attack_is_right_or_takes_time():
    verify("x", r"\int x dx", OPTIONS)
    for attack in ATTACKS:
        for gold in GOLDS:
            start = time.process_time()
            assert not right(attack, gold), (attack[:50], gold)
            assert time.process_time() - start < 1, (attack[:50], gold)


def test_large_numbers_that_are_answers_are_read():
    for gold in ("10^{100}", "2^{2024}-1", "100!", r"\binom{100}{50}", r"\frac{1}{2004!}", "2^{10^6}"):
        assert right(f" {gold} ", gold)
    assert right(str(2**2024 - 1), "2^{2024}-1")
    assert not right(str(2**2024), "2^{2024}-1")


class _AlarmError(BaseException):
    pass


def _raise(*_):
    raise _AlarmError


def _verify_for_ever():
    while True:
        verify("(x+1)^{99}", "(x+1)^{98}", OPTIONS)


def test_an_alarm_of_the_caller_is_neither_caught_nor_cancelled():
    before = signal.signal(signal.SIGALRM, _raise)
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        verify(r"\int 2x dx", r"\int x dx", OPTIONS)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 50
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(_AlarmError):
            _verify_for_ever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("part", "right"),
    [
        ("\\int_0^3 x^2\\,dx = 9", True),
        ("\\int_0^3 x^2\\,dx = 8", False),
        ("9 = \\int_0^3 x^2\\,dx", False),
        ("\\sum_{i=2}^{4} i = 9", True),
        ("\\sum_{i=2}^{4} i = \\sum_{i=2}^{4} i", False),
        ("\\sum_{i=2}^{4} i = 4+5", False),
        ("\\sum_{i=2}^{4} i = 8 = 9", False),
        ("\\lim_{x\\to 3} x^2 = 4, 9", False),
    ],
)
def test_an_operation_that_is_said_to_be_a_value_states_that_value(part, right):
    assert verify(part, "9", Options())[0] == right
