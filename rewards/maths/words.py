"""Answers that are words: letters of a choice, times, dates, yes and no, `no solution`."""

import re

from rewards.maths.tree import Node
from rewards.maths.units import STOP

_LETTER = re.compile(r"\(?\s*([A-J])\s*\)?\s*[.:)]?")
_LOWER = re.compile(r"\([a-j]\)")
_LETTERS = re.compile(r"\(?[A-J]\)?(?:(?:[\s,;&]|and\b)*\(?[A-J]\)?)*")
_SURELY = r"\s+is\s+(?:the\s+)?(?:correct|right|best)(?:\s+(?:answer|option|choice))?"
_CHOSEN = re.compile(
    r"(?:I\s+(?:choose|pick|select)\s+)?(?:the\s+)?(?:(?:correct|right|final|best)\s+)?"
    r"(?:(?:answer|option|choice)\s*(?:is|:)?\s*)*:?\s*"
    rf"(?:\(\s*([A-J])\s*\)|([A-J])(?=\s*$|\s*[.:)]|\s+[-\u2013\u2014]\s|{_SURELY}))(?:{_SURELY})?"
    r"\s*[.:)]?\s*(?:[-\u2013\u2014]\s)?(.*)",
    re.IGNORECASE | re.DOTALL,
)
_OTHER_CHOICE = re.compile(r"\([A-J]\)|(?<![A-Za-z])[A-J][.)](?![A-Za-z])|(?:or|and|,)\s*[A-J]\b")
_NEGATION = re.compile(r"\b(?:not|wrong|incorrect|false|isn't|or|maybe|perhaps|either)\b", re.IGNORECASE)
_VERDICT = re.compile(r"\b(?:yes|no|true|false)\b", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*(?:([ap])\s*\.?\s*m\s*\.?)?", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})()()\s*([ap])\s*\.?\s*m\s*\.?", re.IGNORECASE)
_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS = {name: month for month, name in enumerate(_MONTH_NAMES.split(), 1)}
_PHRASES: dict[Node, str] = {
    Node(
        "empty"
    ): "no solution;no solutions;no real solution;no real solutions;none;empty set;no real roots;no integer solutions;"
    "no real root;null set;no such number;no such numbers;there are no solutions;there is no solution;no such values",
    Node(
        "numbers", ("R",)
    ): "all real numbers;all reals;all real x;any real number;real numbers;all real values;every real number;"
    "all real numbers x;all real values of x",
    Node("const", ("oo",)): "infinity;positive infinity;plus infinity",
    Node("neg", (Node("const", ("oo",)),)): "negative infinity;minus infinity",
}
_MEANING = {phrase: node for node, phrases in _PHRASES.items() for phrase in phrases.split(";")}
_SAME = {
    "dne": "undefined", "does not exist": "undefined", "doesnt exist": "undefined", "not defined": "undefined",
    "limit does not exist": "undefined", "infinite": "infinitely many", "infinitely many solutions": "infinitely many",
    "infinite solutions": "infinitely many", "infinite number of solutions": "infinitely many", "y": "yes", "n": "no",
    "correct": "true", "incorrect": "false",
}  # fmt: skip


def letters(text: str) -> frozenset[str]:
    """Return the letters of a reference that is one choice or several, such as `(B)` or `A, C`."""
    match = _LETTER.fullmatch(text.upper() if _LOWER.fullmatch(text) else text)
    if match:
        return frozenset(match[1])
    if _LETTERS.fullmatch(text) and re.search(r"[,;&]|and", text):
        return frozenset(re.findall(r"[A-J]", text))
    return frozenset()


def chosen(text: str) -> tuple[frozenset[str], str]:
    """Return the letters that an answer chooses and what it says besides: `B. 12` is ({B}, "12")."""
    if _LETTERS.fullmatch(text):
        return frozenset(re.findall(r"[A-J]", text)), ""
    match = _CHOSEN.fullmatch(text)
    if not match or _OTHER_CHOICE.search(match[3]) or _NEGATION.search(match[3]):
        return frozenset(), ""
    return frozenset((match[1] or match[2]).upper()), match[3].strip()


def clock(text: str) -> tuple[int, int, int, str] | None:
    """Return a time of day as hour, minute, second and a, p or neither."""
    match = _CLOCK.fullmatch(text.strip()) or _HOUR.fullmatch(text.strip())
    if not match or int(match[1]) > 24:
        return None
    return int(match[1]), int(match[2] or 0), int(match[3] or 0), (match[4] or "").lower()


def is_time(time: tuple[int, int, int, str] | None) -> bool:
    """Whether it can be no ratio: 9:05 and 3:30 PM."""
    return time is not None and (bool(time[3]) or 0 < time[1] < 10)


def same_time(left: tuple[int, int, int, str], right: tuple[int, int, int, str]) -> bool:
    """Whether two times of day are the same; one of them may leave the half of the day open."""
    return left[:3] == right[:3] and (left[3] == right[3] or not (left[3] and right[3]))


def meaning(text: str) -> Node | None:
    """Return the tree that a phrase such as `no solution` stands for."""
    return _MEANING.get(_words(text))


def spelled(text: str) -> str:
    """Return words in one form: without case, punctuation and articles, dates as year-month-day."""
    words = _words(text)
    return _date(words) or _SAME.get(words, words)


def _words(text: str) -> str:
    text = re.sub(r"\\[ ,;:!]|[{}\\$\"'().,;:!?*_]", lambda m: " " if m[0] in "., ;:_" else "", text.lower())
    return " ".join(word for word in text.split() if word not in ("the", "a", "an", "and"))


def _date(words: str) -> str | None:
    pieces = [re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", word) for word in words.split() if word != "of"]
    months = [_MONTHS[word[:3]] for word in pieces if word.isalpha() and word[:3] in _MONTHS and len(word) >= 3]
    numbers = [int(word) for word in pieces if word.isdigit() and len(word) <= 4]
    if len(months) != 1 or not 1 <= len(numbers) <= 2 or len(pieces) != 1 + len(numbers):
        return None
    days = [n for n in numbers if n <= 31]
    return f"{max(numbers) if len(numbers) > 1 else ''}-{months[0]}-{min(days) if days else ''}"


def yes_or_no(text: str) -> str:
    """Return the one of yes, no, true and false that a short answer holds, and nothing when it hedges."""
    found = {word.lower() for word in _VERDICT.findall(text[:200])}
    return found.pop() if len(found) == 1 and not _NEGATION.search(_VERDICT.sub("", text)) else ""


def is_phrase(text: str) -> bool:
    """Whether words of a sentence are in it, so that a number in it need not be the answer."""
    found = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)
    return any(word.lower() in STOP for word in found) or len(found) > 3
