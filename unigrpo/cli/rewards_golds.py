"""Right answers of the data that are none: nothing, a hint at a figure, broken LaTeX, prose among numbers."""

import re
from collections.abc import Sequence

MATHEMATICAL = 0.9
"""Share of answers with numbers or signs from which on prose among them is odd."""

_SHOWN = r"(?:figure|fig\.?|graph|diagram|picture|image|table|solution|explanation)s?"
_PLACEHOLDER = re.compile(
    rf"""\s*(?:
        n\s*[/.]\s*a | nan | null | (?-i:None) | tbd | todo | ditto | (?:same\ )?as\ above | missing | omitted
        | answers? | \S+\.(?:png|jpe?g|gif|svg|pdf)
        | no\ answer(?:\ given|\ provided)? | not\ (?:provided|given|available|applicable)
        | answers?\ (?:(?:may|will|can)\ )?var(?:y|ies)
        | (?:the\ )?proofs?(?:\ (?:omitted|below|above|required))?
        | (?:see|refer\ to|as\ (?:shown|given|in)|shown\ in)\b
          .{{0,60}}\b(?:above|below|text|attached|proofs?|{_SHOWN}).*
        | [?_.\-\u2013\u2014\u2026\s]+ | [()\[\]\s]+
    )\s*[.!]?\s*""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_OPERATORS = {"-", "."}
_ASIDE = re.compile(rf"[(\[]\s*(?:see|refer to)\b[^)\]]{{0,60}}\b{_SHOWN}", re.IGNORECASE)
_WRAPPER = re.compile(r"\\(?:boxed|text|textbf|mathrm)\s*(?=\{)|[{}$]")
_BROKEN = {
    "it divides by zero": re.compile(r"(?<=[\d)}])\s*/\s*0+(?![\d.])|\\[dt]?frac\s*\{[^{}]*\}\s*\{\s*0\s*\}"),
    "something is missing in its LaTeX": re.compile(
        r"\\(?:[dt]?frac|sqrt|binom)(?:\s*\{\s*\}|\s*\{[^{}]*\}\{\s*\}|\s*$)"
    ),
    "it stops at a sign": re.compile(r"[*/=^_\\]\s*$|\d\s*[-+]\s*$"),
}
_NOTATION = re.compile(r"[0-9\\^=<>+*/%$\u221e\u03c0\u2205\u221a]|^\W*\w\W*$")
_CHOICE = re.compile(r"[(\[]?\w[)\].:]?")
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[\s,;:'-]+[^\W\d_]+)+")
_MATHEMATICAL_WORDS = re.compile(
    r"\b(?:no|not|none|never|all|any|every|infinit\w*|finite|undefined|exists?|reals?|integers?|rationals?|numbers?"
    r"|even|odd|neither|both|positive|negative|zero|prime|true|false|yes|impossible|(?:con|di)verge\w*|increas\w*"
    r"|decreas\w*|cannot|unique|empty|constant|parallel|equal|one|two|three|four|five|six|seven|eight|nine|ten)\b",
    re.IGNORECASE,
)
LINE = 200
"""Characters of an answer that may be a formula; a longer one is a text, or a program."""
SHORT = 6
"""Words of an answer that may be mathematical prose, such as `no real solutions`."""
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def flaw(gold: str) -> str:
    """Return why a right answer is none; empty if nothing is seen."""
    text = gold.strip()
    if not text:
        return "the answer is empty"
    bare = _WRAPPER.sub("", text).strip()
    if not bare or (_PLACEHOLDER.fullmatch(bare) and text not in _OPERATORS) or _ASIDE.search(text):
        return "it stands for an answer that is not there"
    if "\\" in text and not _balanced(text):
        return "its braces do not match"
    if _NOTATION.search(text) and not _CHOICE.fullmatch(text) and len(text) <= LINE and "\n" not in text:
        return next((why for why, pattern in _BROKEN.items() if pattern.search(text)), _brackets(text))
    return ""


def _brackets(text: str) -> str:
    """Whether as many open as close; [0, 1) is an interval."""
    opened, closed = (sum(text.count(sign) for sign in signs) for signs in ("([", ")]"))
    return "" if opened == closed else "its brackets do not match"


def prose_among(golds: Sequence[str]) -> list[int]:
    """Return the places of the answers that are prose, in data whose answers are numbers and formulas."""
    kinds = [bool(_NOTATION.search(gold)) for gold in golds]
    if not golds or sum(kinds) < MATHEMATICAL * len(golds):
        return []
    return [
        place
        for place, (gold, notation) in enumerate(zip(golds, kinds, strict=True))
        if not notation
        and _WORDS.search(gold)
        and not (_MATHEMATICAL_WORDS.search(gold) and len(gold.split()) <= SHORT)
    ]


def _balanced(text: str) -> bool:
    depth = 0
    for token in _BRACE.findall(text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return False
    return depth == 0
