"""The countdown game: make the target from the given numbers, each used once."""

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from rewards.extract import answer_part
from rewards.registry import reward
from unigrpo.errors import DataError

MAX_LENGTH = 256
"""Characters of an expression; a longer one is refused."""
MAX_DEPTH = 32
"""Parentheses within parentheses; a deeper expression is refused."""

_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*/()]))")
_SIGNS = {"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", r"\times": "*", r"\cdot": "*", r"\div": "/"}
_SIGNS |= {r"\left(": "(", r"\right)": ")"}
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_SEPARATOR = re.compile(r"[\s,;]+")


@reward("countdown", tasks=("text",))
def countdown(response: str, numbers: Sequence[int | str] | str, target: int | str, partial: float = 0.1) -> float:
    """Return 1 when the answer part makes the target from exactly the given numbers.

    An arithmetic expression of given numbers only, that misses the target or leaves a number out, earns `partial`;
    anything else earns 0. The columns `numbers` and `target` of the data hold the task.
    """
    evaluated = evaluate(answer_part(response) or "")
    if evaluated is None:
        return 0.0
    value, used = evaluated
    given = Counter(_numbers(numbers))
    if used == given and value == int(target):
        return 1.0
    return float(partial) if used <= given else 0.0


def evaluate(expression: str) -> tuple[Fraction, Counter[int]] | None:
    """Return the value of an expression of `+ - * / ( )` and whole numbers, and its numbers; None if it is none.

    The signs may also be those of print or of LaTeX.
    """
    tokens = _tokens(_SIGN.sub(lambda sign: _SIGNS[sign[0]], expression)) if len(expression) <= MAX_LENGTH else None
    if not tokens:
        return None
    used = Counter(int(token) for token in tokens if token.isdigit())
    try:
        value, rest = _sum(tokens, 0, 0)
    except (_NotAnExpressionError, ZeroDivisionError):
        return None
    return (value, used) if rest == len(tokens) else None


def _numbers(given: Sequence[int | str] | str) -> list[int]:
    parts = _SEPARATOR.split(given.strip("[]() \n")) if isinstance(given, str) else given
    try:
        return [int(part) for part in parts]
    except ValueError as error:
        raise DataError(
            f"countdown: `numbers` is {given!r:.100}, but takes whole numbers, as a list or as text such as '3, 12': "
            "correct the data."
        ) from error


class _NotAnExpressionError(Exception):
    pass


def _tokens(expression: str) -> list[str] | None:
    tokens = []
    position = 0
    expression = expression.strip()
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            return None
        tokens.append(match[1] or match[2])
        position = match.end()
    return tokens


def _sum(tokens: list[str], i: int, depth: int) -> tuple[Fraction, int]:
    value, i = _product(tokens, i, depth)
    while i < len(tokens) and tokens[i] in "+-":
        term, after = _product(tokens, i + 1, depth)
        value = value + term if tokens[i] == "+" else value - term
        i = after
    return value, i


def _product(tokens: list[str], i: int, depth: int) -> tuple[Fraction, int]:
    value, i = _operand(tokens, i, depth)
    while i < len(tokens) and tokens[i] in "*/":
        factor, after = _operand(tokens, i + 1, depth)
        value = value * factor if tokens[i] == "*" else value / factor
        i = after
    return value, i


def _operand(tokens: list[str], i: int, depth: int) -> tuple[Fraction, int]:
    if i < len(tokens) and tokens[i].isdigit():
        return Fraction(int(tokens[i])), i + 1
    if i < len(tokens) and tokens[i] == "(" and depth < MAX_DEPTH:
        value, i = _sum(tokens, i + 1, depth + 1)
        if i < len(tokens) and tokens[i] == ")":
            return value, i + 1
    raise _NotAnExpressionError
