r"""The answers that need no reader: plain numbers, fractions, letters of a choice, and what is the reference itself."""

import re
from fractions import Fraction
from typing import NamedTuple

from rewards.maths.clean import LIMIT
from rewards.maths.options import Options

_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+|\d{1,200})"
_DECIMAL = re.compile(
    rf"(?P<currency>\\?\$\s?)?(?P<sign>[-+\u2212]?)\s?(?:\\?\$\s?)?(?P<whole>{_DIGITS})?(?:\.(?P<decimals>\d{{1,200}}))?\.?"
)
_FRACTION = re.compile(
    r"(?P<sign>[-+\u2212]?)\s?(?:\\[dt]?frac\{(\d{1,200})\}\{(\d{1,200})\}|(\d{1,200})\s?/\s?(\d{1,200}))\.?"
)
_LETTER = re.compile(r"(?:\\(?:text|textbf|mathrm)\{)?\(?([A-J])\)?\}?\.?")
_WRAPPED = re.compile(r"\*\*(?!\*)([^*]+)\*\*|\$([^$\\]+)\$|\\\(([^\\]+)\\\)")


class _Number(NamedTuple):
    value: Fraction
    digits: int | None
    whole: bool
    grouped: bool
    currency: bool


def quick(part: str, gold: str, options: Options) -> bool | None:
    """Return the verdict where it is plain, and None where it takes the verifier."""
    part, gold = _bare(part), _bare(gold)
    if not part:
        return False
    if part == gold:
        return True
    if len(part) > LIMIT or len(gold) > LIMIT:
        return None
    letters = _LETTER.fullmatch(part), _LETTER.fullmatch(gold)
    if letters[0] and letters[1]:
        return letters[0][1] == letters[1][1]
    given, wanted = _number(part), _number(gold)
    if given is None or wanted is None:
        return None
    return _same(given, wanted, options)


def _bare(text: str) -> str:
    text = text.strip()
    match = _WRAPPED.fullmatch(text) if len(text) <= LIMIT else None
    return next(group for group in match.groups() if group).strip() if match else text


def _number(text: str) -> _Number | None:
    match = _FRACTION.fullmatch(text)
    if match:
        over, under = (int(group) for group in match.groups()[1:] if group)
        return _Number(_signed(match["sign"], Fraction(over, under)), None, False, False, False) if under else None
    match = _DECIMAL.fullmatch(text)
    if not match or not (match["whole"] or match["decimals"]):
        return None
    whole, decimals = re.sub(r"\D", "", match["whole"] or ""), match["decimals"] or ""
    value = _signed(match["sign"], Fraction(int(whole + decimals), 10 ** len(decimals)))
    digits = len((whole + decimals).lstrip("0")) if decimals else None
    return _Number(value, digits, not decimals, match["whole"] is not None and "," in match["whole"], "$" in text)


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign in ("-", "\u2212") else value


def _same(given: _Number, wanted: _Number, options: Options) -> bool | None:
    if given.currency != wanted.currency and options.units == "require":
        return None
    if given.value == wanted.value:
        return True
    exactly = given.digits is None and (wanted.digits is None or wanted.digits < 6)
    return False if exactly and not given.grouped and not wanted.grouped else None
