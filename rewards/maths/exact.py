"""A rational constant's exact value; what is too large is refused before it is begun."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rewards.maths.tree import Node, UnreadableError

BITS = 100_000
"""Size of an exact integer."""
FACTORIAL = 5000


def exact(node: Node) -> Fraction | None:
    """Return a rational constant's value, or None for all else.

    Raises:
        UnreadableError: it is too large, or has none, such as 1/0.
    """
    rule = _EXACT.get(node.op)
    return rule(node) if rule else None


def _all(node: Node) -> list[Fraction] | None:
    values = list[Fraction]()
    for part in node.nodes:
        value = exact(part)
        if value is None:
            return None
        values.append(value)
    return values


def _with(rule: Callable[..., Fraction | None]) -> Callable[[Node], Fraction | None]:
    def apply(node: Node) -> Fraction | None:
        values = _all(node)
        return None if values is None else rule(*values)

    return apply


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > 2 * BITS:
        raise UnreadableError("a number too large")
    return value


def _sum(*values: Fraction) -> Fraction:
    return _bounded(sum(values, Fraction(0)))


def _product(*values: Fraction) -> Fraction:
    total = Fraction(1)
    for value in values:
        total = _bounded(total * value)
    return total


def _quotient(over: Fraction, under: Fraction) -> Fraction:
    if not under:
        raise UnreadableError("division by zero")
    return _bounded(over / under)


def _power(base: Fraction, raised: Fraction) -> Fraction | None:
    if raised.denominator != 1:
        return _root(base, Fraction(raised.denominator), raised.numerator)
    if not base and raised <= 0:
        raise UnreadableError("a power of zero")
    if abs(base) == 1 or not base:
        return base if raised % 2 else abs(base)
    if abs(raised) * max(base.numerator.bit_length(), base.denominator.bit_length()) > BITS:
        raise UnreadableError("a power too large")
    return base ** int(raised)


def _root(base: Fraction, degree: Fraction, raised: int = 1) -> Fraction | None:
    n = int(degree)
    if degree != n or not 0 < n <= 64 or (base < 0 and n % 2 == 0):
        return None
    if base.numerator.bit_length() + base.denominator.bit_length() > 4096:
        return None
    over, under = _whole_root(abs(base.numerator), n), _whole_root(base.denominator, n)
    if over is None or under is None:
        return None
    return _power(Fraction(over if base > 0 else -over, under), Fraction(raised)) if base else Fraction(0)


def _whole_root(value: int, n: int) -> int | None:
    if n == 2:
        guess = math.isqrt(value)
        return guess if guess * guess == value else None
    low, high = 0, 1 << (value.bit_length() // n + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**n < value else (low, middle)
    return low if low**n == value else None


def _factorial(n: Fraction) -> Fraction | None:
    if n.denominator != 1 or n < 0:
        raise UnreadableError("a factorial of no whole number")
    if n > FACTORIAL:
        raise UnreadableError("a factorial too large")
    return Fraction(math.factorial(int(n)))


def _binomial(n: Fraction, k: Fraction) -> Fraction | None:
    if n.denominator != 1 or k.denominator != 1 or n < 0:
        raise UnreadableError("a binomial of no whole numbers")
    if n > FACTORIAL:
        raise UnreadableError("a binomial too large")
    return Fraction(math.comb(int(n), int(k))) if k >= 0 else Fraction(0)


def _call(node: Node) -> Fraction | None:
    name = node.args[0]
    if name not in _WHOLE:
        return None
    values = _all(node)
    if not values:
        return None
    if name in ("gcd", "lcm") and any(value.denominator != 1 for value in values):
        return None
    return Fraction(_WHOLE[name](values))


_WHOLE: dict[str, Callable[[list[Fraction]], Any]] = {
    "gcd": lambda values: math.gcd(*map(int, values)),
    "lcm": lambda values: math.lcm(*map(int, values)),
    "max": max,
    "min": min,
    "floor": lambda values: math.floor(values[0]),
    "ceil": lambda values: math.ceil(values[0]),
    "sgn": lambda values: (values[0] > 0) - (values[0] < 0),
}
_EXACT: dict[str, Callable[[Node], Fraction | None]] = {
    "num": lambda node: node.args[0],
    "neg": _with(lambda x: -x),
    "add": _with(_sum),
    "mul": _with(_product),
    "div": _with(_quotient),
    "quot": _with(_quotient),
    "mixed": _with(_sum),
    "pct": _with(lambda x: x / 100),
    "abs": _with(lambda x: abs(x)),
    "pow": _with(_power),
    "root": _with(_root),
    "fact": _with(_factorial),
    "binom": _with(_binomial),
    "call": _call,
}
