r"""Mathematical equality, judged by math-verify.

Its time limits are signal alarms: they work in a main thread only, and do not interrupt gmpy2, so do not install that.
"""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from math_verify.errors import TimeoutException
from math_verify.utils import timeout
from sympy import Basic, Derivative, Eq, Integral, Limit, MatrixBase, Product, Sum

from rewards.extract import answer_part
from rewards.registry import reward
from unigrpo.errors import RewardError

LIMIT = 1000
"""Characters of an answer that are parsed: the last ones."""
SECONDS = 3
"""Time limit of each of parsing, verifying and checking."""

_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
_UNEVALUATED = (Sum, Product, Integral, Limit, Derivative)
_NUMBER = re.compile(r"\$?([+-]?)((?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)\.?")
_PROSE = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{2,}[ ,.:]+[A-Za-z]{2,}|\*\*")
_DELIMITED = re.compile(r"(?<!\\)\$|\\boxed|\\\(|\\\[")


@reward("math", tasks=("text", "understand"))
def math(response: str, answer: str) -> float:
    """Return 1 when the answer part of the response equals the prompt's answer mathematically, else 0.

    A response that cannot be parsed, or not in time, is wrong.

    Raises:
        RewardError: called outside the main thread, where the time limits do not work.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RewardError(
            f"rewards.math was called in thread {threading.current_thread().name}, but its time limits are signals, "
            "which work in a main thread only: score in the main thread of a process, such as a Ray actor that is "
            "neither async nor has max_concurrency."
        )
    part = answer_part(response)
    return 0.0 if part is None else _equal(part, answer.strip())


@lru_cache(maxsize=1 << 14)
def _equal(part: str, answer: str) -> float:
    gold = answer_part(answer) or answer
    if part == gold:
        return 1.0
    numbers = _number(part), _number(gold)
    if None not in numbers and (numbers[0] == numbers[1] or all(n == int(n) for n in numbers if n is not None)):
        return float(numbers[0] == numbers[1])
    with _alarm_of_the_caller():
        try:
            return float(_verified(part, gold))
        except (Exception, TimeoutException):  # the model wrote it, so it is wrong rather than an error of the run
            return 0.0


def _verified(part: str, gold: str) -> bool:
    long_or_prose = len(part) > LIMIT or _PROSE.search(part)
    found = _parse(part[-LIMIT:] if long_or_prose else rf"\boxed{{{part}}}")
    wanted = _parse(gold if _DELIMITED.search(gold) else rf"\boxed{{{gold}}}")
    if not verify(wanted, found, timeout_seconds=SECONDS):
        return False
    check: Callable[..., bool] = timeout(SECONDS)(_is_an_answer)
    return check(found, wanted)


def _parse(text: str) -> list[Any]:
    return parse(text, _EXTRACTION, parsing_timeout=SECONDS)


def _is_an_answer(found: list[Any], wanted: list[Any]) -> bool:
    """Refuse what equals the answer without saying it: an unevaluated sum such as the question's own, `3=4` for 4."""
    wanted_kinds = {kind for kind in _UNEVALUATED for gold in wanted if _symbolic(gold) and gold.has(kind)}
    for expression in filter(_symbolic, found):
        if any(expression.has(kind) for kind in _UNEVALUATED if kind not in wanted_kinds):
            return False
        for equation in expression.atoms(Eq):
            if not equation.free_symbols and equation.lhs.equals(equation.rhs) is False:
                return False
    return True


def _symbolic(value: Any) -> bool:
    return isinstance(value, Basic | MatrixBase)


def _number(text: str) -> Decimal | None:
    match = _NUMBER.fullmatch(text) if len(text) <= LIMIT else None
    return Decimal(match[1] + match[2].replace(",", "")) if match else None


@contextmanager
def _alarm_of_the_caller() -> Iterator[None]:
    """Hold back an alarm that the caller set, which math-verify would cancel, and set it again afterwards."""
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    start = time.monotonic()
    try:
        yield
    finally:
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, max(remaining - (time.monotonic() - start), 1e-3), interval)
