"""Whether two expressions are worth the same: constants exactly or to 80 digits, functions at points."""

from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp

from rewards.maths.exact import exact
from rewards.maths.options import Options
from rewards.maths.tree import Node, UnreadableError, symbols, walk
from rewards.maths.values import Scope, numeric

_COUNTERS = frozenset("nkmjNrt")
_ENOUGH = 5
_POINTS = 14
_PLACES = 40
_PRINTED = 12
"""Significant digits of a reference that a calculator printed, not an author; its roundings are answers too."""


def same(answer: Node, gold: Node, options: Options) -> bool:
    """Whether an expression equals the reference's: to the last digit, or as a decimal of one that has none."""
    if answer == gold:
        return True
    names = symbols(answer) | symbols(gold)
    if not names:
        return _same_constant(answer, gold, options)
    if not symbols(gold) or len(names) > 12:
        return False
    return any(same_function(answer, gold, names, log) for log in bases(answer, gold))


def bases(*nodes: Node) -> tuple[int | None, ...]:
    """The bases that a bare log may have."""
    bare = any(
        part.op == "call" and part.args[0] == "log" and len(part.args) == 2 for node in nodes for part in walk(node)
    )
    return (None, 10) if bare else (None,)


def _same_constant(answer: Node, gold: Node, options: Options) -> bool:
    endless = [infinite(node) for node in (answer, gold)]
    if any(endless):
        return endless[0] == endless[1]
    values = exact(answer), exact(gold)
    if values[0] is not None and values[1] is not None:
        return values[0] == values[1] or _close_decimal(answer, gold, values[0], values[1], options)
    if any(_identical(answer, gold, log) for log in bases(answer, gold)):
        return True
    with mp.workdps(50):
        return _close_decimal(answer, gold, numeric(answer, Scope()), numeric(gold, Scope()), options)


def infinite(node: Node) -> int:
    """1 for infinity, -1 for its negative, 0 for all else."""
    if node.op == "neg":
        return -infinite(node.args[0])
    return int(node == Node("const", ("oo",)))


def _identical(answer: Node, gold: Node, log: int | None) -> bool:
    """Equal to 80 digits relatively; where both sides cancel to zero, the rest must shrink with the precision."""
    rests = list[Any]()
    for digits in (50, 100):
        with mp.workdps(digits):
            a, g = numeric(answer, Scope(log=log)), numeric(gold, Scope(log=log))
            rests.append(abs(a - g))
            size = max(abs(a), abs(g))
    return rests[1] <= size * mp.mpf(10) ** -80 or rests[1] <= rests[0] * mp.mpf(10) ** -35


def _close_decimal(answer: Node, gold: Node, a: Any, g: Any, options: Options) -> bool:
    shown, wanted = decimal_digits(answer), decimal_digits(gold)
    if mpmath.im(a) or mpmath.im(g):
        return False
    if shown and not wanted:
        if terminates(g) or shown < options.digits:
            return False
    elif not (wanted and wanted >= max(options.digits, 6)) or (shown and (shown < options.digits or wanted < _PRINTED)):
        return False
    if not shown and terminates(a):
        return False
    if shown and wanted and shown >= wanted:
        return False
    return abs(_mpf(a) - _mpf(g)) <= options.tolerance * abs(_mpf(g))


def _mpf(value: Any) -> Any:
    return mp.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else value


def decimal_digits(node: Node) -> int | None:
    """The significant digits of a decimal such as -3.14 or 3.14 x 10^8, or None for all else."""
    if node.op in ("neg", "pct"):
        return decimal_digits(node.args[0])
    if node.op == "num":
        return node.args[1]
    if node.op == "mul" and len(node.args) == 2 and node.args[1].op == "pow":
        return decimal_digits(node.args[0])
    return None


def terminates(value: Any) -> bool:
    """Whether a value has a finite decimal form."""
    if not isinstance(value, Fraction):
        return False
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def same_function(answer: Node, gold: Node, names: set[str], log: int | None = None) -> bool:
    """Whether two expressions have the same value wherever the reference is real; or everywhere, if it is nowhere."""
    return _agree(answer, gold, names, log, _real_points) or (
        names <= _COUNTERS and _agree(answer, gold, names, log, _whole_points)
    )


def _agree(answer: Node, gold: Node, names: set[str], log: int | None, points: Any) -> bool:
    real = complex_ = 0
    unlike = False
    with mp.workdps(50):
        for index in range(_POINTS):
            point = points(sorted(names), index)
            try:
                g = numeric(gold, Scope(point, log))
            except UnreadableError:
                continue
            equal = _equal_at(answer, g, point, log)
            if abs(mpmath.im(g)) > mp.mpf(10) ** -_PLACES:
                complex_, unlike = complex_ + 1, unlike or not equal
            elif not equal:
                return False
            else:
                real += 1
    return real >= _ENOUGH or (real + complex_ >= _ENOUGH and not unlike)


def _equal_at(answer: Node, g: Any, point: dict[str, Any], log: int | None) -> bool:
    try:
        a = numeric(answer, Scope(point, log))
    except UnreadableError:
        return False
    return bool(abs(a - g) <= max(abs(a), abs(g), mp.mpf(10) ** -10) * mp.mpf(10) ** -_PLACES)


def _real_points(names: list[str], index: int) -> dict[str, Any]:
    """Points of either sign and several sizes, the same each time."""
    signs = (1, 1, -1, 1, -1)
    return {
        name: signs[(index + place * (1 + index // 3)) % 5]
        * mp.mpf(137 + 211 * ((7 * index + 5 * place * place + place) % 23))
        / 907
        for place, name in enumerate(names)
    }


def _whole_points(names: list[str], index: int) -> dict[str, Any]:
    return {
        name: mp.mpf((1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 16, 21, 30, 47)[index] + 3 * place)
        for place, name in enumerate(names)
    }


def near(left: Node, right: Node) -> bool:
    """Whether two constants differ by less than 5 %, as what is called approximate may."""
    try:
        with mp.workdps(50):
            a, b = numeric(left, Scope()), numeric(right, Scope())
            return bool(abs(a - b) <= 0.05 * max(abs(a), abs(b)))
    except UnreadableError:
        return False


def ratio_of(answer: Node, gold: Node, names: set[str]) -> Any:
    """Return the real number by which one expression is always a multiple of another, or None."""
    first = None
    seen = 0
    with mp.workdps(50):
        for index in range(_POINTS):
            scope = Scope(_real_points(sorted(names), index))
            try:
                a, g = numeric(answer, scope), numeric(gold, scope)
            except UnreadableError:
                continue
            if g == 0 or a == 0:
                continue
            ratio = a / g
            first = ratio if first is None else first
            if abs(ratio - first) > abs(first) * mp.mpf(10) ** -_PLACES or mpmath.im(ratio):
                return None
            seen += 1
    return mpmath.re(first) if seen >= _ENOUGH else None
