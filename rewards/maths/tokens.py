r"""An answer's text as tokens: numbers, names, LaTeX macros, words and signs."""

import re
from fractions import Fraction
from typing import NamedTuple

from rewards.maths.tree import UnreadableError
from rewards.maths.units import KNOWN, STOP

MOST = 400
"""Tokens of an answer; more is no answer."""

_FUNCTION_NAMES = """
sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth sech csch arsinh
arcosh artanh arcsinh arccosh arctanh ln log lg exp gcd lcm max min det sgn sign arg Re Im tr floor ceil ceiling abs
Gamma sqrt cbrt
"""
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega
"""
NAMES = frozenset(_GREEK.split())
_CAPITALS = frozenset(["Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"])
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_WORDS = {
    name: value
    for names, start, step in (
        ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
         "seventeen eighteen nineteen", 0, 1),
        ("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10),
    )
    for value, name in zip(range(start, 100, step), names.split(), strict=False)
}  # fmt: skip
_SHORT_WORDS = """
to of in on at my me us our his her him its go ok am pm all any one per sq cu dne nan bit bits odd
"""
_SHORT = STOP | frozenset(_SHORT_WORDS.split())
_SYNONYMS = {
    "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "==": "=", r"\lt": "<", r"\gt": ">", r"\land": "and", r"\wedge": "and",
    r"\lor": "or", r"\vee": "or", r"\&": "and", r"\ast": "*", r"\div": "÷", r"\slash": "/", r"\backslash": r"\setminus",
    r"\smallsetminus": r"\setminus", r"\simeq": r"\approx", r"\sim": r"\approx", r"\cong": r"\approx", r"\equiv": "=",
    r"\doteq": r"\approx", r"\rightarrow": r"\to", r"\longrightarrow": r"\to", r"\varepsilon": r"\epsilon",
    r"\varphi": r"\phi", r"\vartheta": r"\theta", r"\varrho": r"\rho", r"\lVert": r"\|", r"\rVert": r"\|",
    r"\bigcup": r"\cup", r"\bigcap": r"\cap", r"\iint": r"\int", r"\oint": r"\int", r"\prime": "'", r"\colon": ":",
}  # fmt: skip

_TOKEN = re.compile(
    r"""(?P<count>(?i:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[-\ ]
         (?i:one|two|three|four|five|six|seven|eight|nine)(?![A-Za-z]))
      |(?P<mixed>\d+[ ]+\d+[ ]*/[ ]*\d+(?![\d.]))
      |(?P<repeating>\d*\.\d*\s*\\(?:overline|bar|dot)\s*\{?\s*(?P<period>\d+)\s*\}?)
      |(?P<number>(?:GROUPED)?(?:\d+\.\d+|\.\d+|\d+\.(?![\dA-Za-z.\\])|\d+)(?:[eE][+-]?\d+(?![\dA-Za-z.]))?)
      |(?P<environment>\\(?:begin|end)\s*\{\s*[A-Za-z]+\*?\s*\}(?:\s*\{[clr|\s]*\})?)
      |(?P<macro>\\[A-Za-z]+|\\[\\{}|&])
      |(?P<word>[A-Za-z]+(?:'[a-z]+)?)
      |(?P<sign><=|>=|!=|==|[-+*/^_=<>(){}\[\]|,;:!'%&÷$€£¥₹¢])
      |(?P<space>\s+)
      |(?P<other>.)""".replace("\n      |", "\n|"),
    re.VERBOSE | re.DOTALL,
)
_LIST = re.compile(_TOKEN.pattern.replace("GROUPED", "(?!)"), re.VERBOSE | re.DOTALL)
_GROUPED = re.compile(
    _TOKEN.pattern.replace("(?:GROUPED)?(?:", r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|"), re.VERBOSE | re.DOTALL
)
_TOUCHING = frozenset("0123456789}^_+-*/=")
_GLUED = re.compile(
    r"(?!cost|cots|sing|sins|tans|tank|logs|logo|sect|secs)(sin|cos|tan|cot|sec|csc|ln|log)([a-z]{1,2})"
)


class Token(NamedTuple):
    """A piece of text; `spaced` when a space came before it."""

    kind: str
    text: str
    spaced: bool = False
    value: Fraction | None = None
    digits: int | None = None


def tokens(text: str, grouped: bool) -> list[Token]:
    """Return the tokens; `grouped` reads the comma of 70,110 as one of thousands, otherwise it separates."""
    found: list[Token] = []
    spaced = False
    for match in (_GROUPED if grouped else _LIST).finditer(text):
        kind = match.lastgroup if match.lastgroup != "period" else "repeating"
        if kind == "space":
            spaced = True
            continue
        if kind == "number" and _tail_of_thousands(match[0], found, spaced):
            raise UnreadableError("zeros after a comma")
        if (
            kind == "word"
            and found
            and found[-1].kind == "word"
            and len(match[0]) > 2
            and match[0].lower() not in SCALES
        ):
            found.append(Token("word", match[0], spaced))
        else:
            found.extend(_read(kind or "", match, spaced))
        if match[0] == "!=" and not spaced and len(found) > 1 and found[-2].kind == "number":
            found[-1:] = [Token("sign", "!"), Token("sign", "=")]
        spaced = False
        if len(found) > MOST:
            raise UnreadableError("too long")
    return [_union(found, index) for index in range(len(found))]


def _tail_of_thousands(text: str, found: list[Token], spaced: bool) -> bool:
    return text[0] == "0" and len(text) == 3 and text.isdigit() and not spaced and bool(found) and found[-1].text == ","


def _union(found: list[Token], index: int) -> Token:
    """The letter U between brackets is a union."""
    token = found[index]
    if (
        token.text == "U"
        and 0 < index < len(found) - 1
        and found[index - 1].text in ")]}"
        and found[index + 1].text in "([{"
    ):
        return Token("macro", r"\cup", token.spaced)
    return token


def _read(kind: str, match: re.Match[str], spaced: bool) -> list[Token]:
    text = match[0]
    if kind == "number":
        return [_number(text, spaced)]
    if kind == "count":
        tens, ones = re.split("[- ]", text.lower())
        return [Token("number", text, spaced, Fraction(_WORDS[tens] + _WORDS[ones]))]
    if kind == "mixed":
        whole, over, under = map(int, re.findall(r"\d+", text))
        return [Token("mixed", f"{whole} {over} {under}", spaced)]
    if kind == "repeating":
        return [_repeating(text, match["period"], spaced)]
    if kind == "macro":
        return [_macro(text, spaced)]
    if kind == "word":
        return _letters(text, spaced) if len(text) == 2 and _amid_maths(match) else _word(text, spaced)
    if kind == "sign":
        return [Token("sign", _SYNONYMS.get(text, text), spaced)]
    if kind == "environment":
        return [Token("environment", re.sub(r"\s|\{[clr|\s]*\}$", "", text), spaced)]
    raise UnreadableError(f"unknown character {text!a}")


def _number(text: str, spaced: bool) -> Token:
    mantissa, _, exponent = text.replace(",", "").lower().partition("e")
    whole, point, decimals = mantissa.partition(".")
    if len(mantissa) > 1 and mantissa[0] == "0" and not point and "," in text:
        raise UnreadableError("zeros before a thousands separator")
    power = int(exponent or 0)
    if abs(power) > 5000:
        raise UnreadableError("exponent too large")
    value = Fraction(int((whole + decimals) or 0), 10 ** len(decimals)) * Fraction(10) ** power
    digits = len((whole + decimals).lstrip("0")) if decimals else None
    return Token("number", text, spaced, value, digits)


def _repeating(text: str, period: str, spaced: bool) -> Token:
    before = re.sub(r"[^\d.]", "", text[: text.index("\\")])
    whole, _, decimals = before.partition(".")
    fixed = Fraction(int((whole + decimals) or 0), 10 ** len(decimals))
    return Token("number", text, spaced, fixed + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(decimals)))


def _macro(text: str, spaced: bool) -> Token:
    text = _SYNONYMS.get(text, text)
    name = text[1:]
    if text[0] != "\\":
        return Token("sign", text, spaced)
    if name in NAMES or name in _CAPITALS or name in ("ell", "hbar"):
        return Token("name", name, spaced)
    if name in FUNCTIONS and name != "sqrt":
        return Token("function", name, spaced)
    return Token("macro", text, spaced)


def _amid_maths(match: re.Match[str]) -> bool:
    """Whether two letters touch a digit, brace or sign, as the `at` of `v+at` and `at^2`."""
    text, (start, end) = match.string, match.span()
    beside = text[start - 1 : start], text[end : end + 1]
    free = match[0] not in KNOWN and match[0] not in FUNCTIONS and match[0] not in ("pi", "or", "oo", "in")
    return free and (beside[0] in _TOUCHING or beside[1] in _TOUCHING) and beside != ("", "")


def _word(text: str, spaced: bool) -> list[Token]:
    lower = text.lower()
    if lower in ("and", "or"):
        return [Token("sign", lower, spaced)]
    if lower in SCALES:
        return [Token("scale", lower, spaced)]
    if lower in _WORDS:
        return [Token("number", text, spaced, Fraction(_WORDS[lower]))]
    if len(text) == 1:
        return [Token("name", text, spaced)]
    if lower in ("pi", "infinity", "inf", "sqrt", "infty", "oo", "union", "cup"):
        macro = {"infinity": "infty", "inf": "infty", "oo": "infty", "union": "cup"}.get(lower, lower)
        return [Token("macro", "\\" + macro, spaced)]
    if text in FUNCTIONS or lower in FUNCTIONS:
        return [Token("function", text if text in FUNCTIONS else lower, spaced)]
    if lower in NAMES:
        return [Token("name", lower, spaced)]
    if text in KNOWN or lower in KNOWN or lower in _SHORT or len(text) > 3:
        glued = _GLUED.fullmatch(text)
        return (
            [Token("function", glued[1], spaced), *_letters(glued[2], False)]
            if glued
            else [Token("word", text, spaced)]
        )
    glued = _GLUED.fullmatch(text)
    return [Token("function", glued[1], spaced), *_letters(glued[2], False)] if glued else _letters(text, spaced)


def _letters(text: str, spaced: bool) -> list[Token]:
    return [Token("name", letter, spaced and index == 0) for index, letter in enumerate(text)]
