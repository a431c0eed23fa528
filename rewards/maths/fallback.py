r"""Math-Verify, for what the own reader leaves open: notation that it does not know, and whether equations agree."""

import re
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse
from math_verify import verify as math_verify
from sympy import Basic, Derivative, FiniteSet, Integral, Limit, MatrixBase, Product, Set, Sum, Tuple

LONGEST = 300
_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0),)
_UNEVALUATED = (Sum, Product, Integral, Limit, Derivative)
_COSTLY = re.compile(
    r"!|\\binom|\^\s*\{?[^{}^]*\^|\^\s*\{?\s*-?\d{3}|\d{25}|\\(?:det|operatorname|begin\{[vV]matrix)|\*\*|\^\s*\{[^{}]*\{[^{}]*\{"
)
_WORDS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}")
_DEEPEST = 10


def agree(answer: str, gold: str) -> bool:
    """Whether Math-Verify takes the answer, and the answer is none that says less than it must."""
    if any(_costly(text) for text in (answer, gold)) or (_WORDS.search(answer) and not _WORDS.search(gold)):
        return False
    given, wanted = _parsed(answer), _parsed_gold(gold)
    if not given or not wanted or not all(map(_symbolic, (given[0], wanted[0]))):
        return False
    return _comparable(given[0], wanted[0]) and bool(math_verify(wanted[:1], given[:1], timeout_seconds=None))


def _costly(text: str) -> bool:
    depth = deepest = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    return len(text) > LONGEST or deepest > _DEEPEST or bool(_COSTLY.search(text))


def _parsed(text: str) -> list[Any]:
    without_alarm: Any = None  # its own would cancel that of the caller
    return parse(rf"\boxed{{{text}}}", _EXTRACTION, parsing_timeout=without_alarm)


@lru_cache(maxsize=1 << 12)
def _parsed_gold(text: str) -> list[Any]:
    return _parsed(text)


def _symbolic(value: Any) -> bool:
    return isinstance(value, Basic | MatrixBase)


def _comparable(given: Any, wanted: Any) -> bool:
    """Neither a set for an ordered tuple, nor a sum, limit or integral where the reference has none."""
    if isinstance(given, FiniteSet | Tuple) and type(given).__name__ != type(wanted).__name__:
        return False
    if isinstance(wanted, Tuple) and isinstance(given, Set):
        return False
    return not any(given.has(kind) and not wanted.has(kind) for kind in _UNEVALUATED)
