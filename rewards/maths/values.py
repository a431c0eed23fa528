"""What a tree is worth as a complex number, at any precision and any point of its variables. Never costly.

Nothing is expanded or solved. Two expressions are told apart by their values at points, so that every step is one of
bounded arithmetic, and what would need more (10^(10^10), 10^9!) is refused before it is begun.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp

from rewards.maths.tree import ForeignError, Node, UnreadableError

EXPONENT = 10_000_000
"""Size of a binary exponent of an inexact number."""
STEPS = 20_000
"""Nodes that are visited for one value, with those of a sum's terms."""


@dataclass
class Scope:
    """What a value depends on."""

    point: Mapping[str, Any] = field(default_factory=dict)
    log: int | None = None
    """The base of a bare log; None for e."""
    steps: list[int] = field(default_factory=lambda: [0])
    """Nodes visited so far, counted over all the terms of a sum."""


def numeric(node: Node, scope: Scope) -> Any:
    """Return a tree's value at the scope's point, in mpmath's working precision.

    Raises:
        UnreadableError: it is too large, or no number.
    """
    scope.steps[0] += 1
    if scope.steps[0] > STEPS:
        raise UnreadableError("too many steps")
    if node.op == "num":
        return mp.mpf(node.args[0].numerator) / node.args[0].denominator
    if node.op == "sym":
        if node.args[0] not in scope.point:
            raise UnreadableError(f"no value of {node.args[0]}")
        return scope.point[node.args[0]]
    if node.op in ("sum", "prod"):
        return _series(node, scope)
    if node.op == "call":
        return _function(node.args[0], [numeric(part, scope) for part in node.nodes], scope)
    rule = _NUMERIC.get(node.op)
    if rule is None:
        kind = ForeignError if node.op in ("int", "lim", "sum*", "prod*", "det") else UnreadableError
        raise kind(f"{node.op} has no value")
    return _finite(rule(*_arguments(node, scope)))


def _arguments(node: Node, scope: Scope) -> list[Any]:
    if node.op == "const":
        return [node.args[0]]
    return [numeric(part, scope) for part in node.nodes]


def _finite(value: Any) -> Any:
    if not mpmath.isfinite(value):
        raise UnreadableError("not finite")
    return value


def _series(node: Node, scope: Scope) -> Any:
    body, index, low, high = node.args
    first, last = numeric(low, scope), numeric(high, scope)
    if not (mpmath.isint(first) and mpmath.isint(last)) or abs(first) > EXPONENT or last - first > STEPS // 2:
        raise UnreadableError("a series without whole bounds")
    total = mp.mpf(node.op == "prod")
    for value in range(int(first), int(last) + 1):
        term = numeric(body, Scope({**scope.point, index: mp.mpf(value)}, scope.log, scope.steps))
        total = total * term if node.op == "prod" else total + term
    return total


def _raised(base: Any, raised: Any) -> Any:
    if base == 0:
        if raised == 0 or mpmath.re(raised) < 0:
            raise UnreadableError("a power of zero")
        return base
    if abs(mpmath.log(abs(base))) * abs(raised) + abs(raised) > EXPONENT:
        raise UnreadableError("a power too large")
    if mpmath.im(base) == 0 and mpmath.re(base) < 0 and mpmath.im(raised) == 0 and not mpmath.isint(raised):
        odd = _odd_fraction(raised)
        if odd:
            size = mpmath.power(-base, raised)
            return -size if odd.numerator % 2 else size
    return mpmath.power(base, raised)


def _odd_fraction(value: Any) -> Fraction | None:
    """The fraction p/q of odd q that a number is, whose power of a negative number is real."""
    for q in (3, 5, 7, 9, 11):
        p = mpmath.nint(value * q)
        if abs(value * q - p) < mp.mpf(10) ** (5 - mp.dps) and abs(p) < 1000:
            return Fraction(int(p), q)
    return None


def _divided(over: Any, under: Any) -> Any:
    if under == 0:
        raise UnreadableError("division by zero")
    return over / under


def _gamma(value: Any) -> Any:
    if abs(value) > 10**6 or (mpmath.isint(value) and mpmath.re(value) < 0):
        raise UnreadableError("a factorial too large")
    return mpmath.factorial(value)


def _choose(n: Any, k: Any) -> Any:
    if max(abs(n), abs(k)) > 10**6:
        raise UnreadableError("a binomial too large")
    return mpmath.binomial(n, k)


def _constant(name: str) -> Any:
    if name == "oo":
        raise UnreadableError("infinity in an expression")
    return {"pi": +mp.pi, "e": +mp.e, "i": mp.mpc(0, 1)}[name]


def _total(*values: Any) -> Any:
    return mpmath.fsum(values)


def _times(*values: Any) -> Any:
    return mpmath.fprod(values)


_NUMERIC: dict[str, Callable[..., Any]] = {
    "const": _constant,
    "neg": lambda x: -x,
    "add": _total,
    "mul": _times,
    "div": _divided,
    "quot": _divided,
    "mixed": _total,
    "pow": _raised,
    "root": lambda x, n: _raised(x, _divided(mp.mpf(1), n)),
    "abs": abs,
    "pct": lambda x: x / 100,
    "deg": lambda x: x * mp.pi / 180,
    "fact": _gamma,
    "binom": _choose,
}


def _logarithm(x: Any, base: Any) -> Any:
    if x == 0 or base == 0 or base == 1:
        raise UnreadableError("a logarithm of zero")
    return mpmath.log(x) if base is None else mpmath.log(x) / mpmath.log(base)


def _function(name: str, values: list[Any], scope: Scope) -> Any:
    if any(abs(value) > mp.mpf(10) ** 40 for value in values) and name in _PERIODIC:
        raise UnreadableError("an angle too large")
    if name == "log" or name == "ln":
        base = values[1] if len(values) > 1 else scope.log if name == "log" else None
        return _finite(_logarithm(values[0], base))
    if name in _KNOWN and len(values) == 1:
        if name in ("sinh", "cosh", "gamma") and abs(values[0]) > 10**5:
            raise UnreadableError("a function too large")
        return _finite(_KNOWN[name](values[0]))
    if name in ("max", "min") and all(mpmath.im(value) == 0 for value in values):
        return (max if name == "max" else min)(map(mpmath.re, values))
    if name in ("gcd", "lcm"):
        raise UnreadableError("a divisor of no whole numbers")
    return _opaque(name, values)


def _opaque(name: str, values: list[Any]) -> Any:
    """A function nobody defined: some number that depends on its name and on what it is applied to."""
    seeds = [zlib.crc32(f"{name} {index}".encode()) % 1009 / mp.mpf(997) + 1 for index in range(len(values) + 1)]
    return mpmath.cos(seeds[-1] + mpmath.fsum(seed * value for seed, value in zip(seeds, values, strict=False))) + 2


_PERIODIC = {"sin", "cos", "tan", "cot", "sec", "csc", "floor", "ceil"}
_KNOWN: dict[str, Callable[[Any], Any]] = {
    "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan, "cot": mpmath.cot, "sec": mpmath.sec, "csc": mpmath.csc,
    "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan, "arccot": mpmath.acot, "arcsec": mpmath.asec,
    "arccsc": mpmath.acsc, "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "coth": mpmath.coth,
    "sech": mpmath.sech, "csch": mpmath.csch, "arcsinh": mpmath.asinh, "arccosh": mpmath.acosh, "arctanh": mpmath.atanh,
    "gamma": mpmath.gamma, "floor": mpmath.floor, "ceil": mpmath.ceil, "sgn": mpmath.sign, "arg": mpmath.arg,
    "Re": mpmath.re, "Im": mpmath.im,
}  # fmt: skip
