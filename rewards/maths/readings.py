"""The trees that a text may be read as."""

import re
from typing import NamedTuple

from rewards.maths.chains import reduced
from rewards.maths.clean import clean
from rewards.maths.grammar import parse
from rewards.maths.stated import statements
from rewards.maths.tree import ForeignError, Node, UnreadableError
from rewards.maths.words import meaning

_GROUPS = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)")
_ENCLOSED = re.compile(r"[(\[{]\s*-?\d{1,3}(?:,\d{3})+\s*\\?[)\]}]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_IMPLIES = re.compile(r"\\(?:Rightarrow|implies|Longrightarrow|therefore|iff|Leftrightarrow)(?![A-Za-z])|=>")
_LABEL = re.compile(r"[A-Za-z][A-Za-z' ]*[A-Za-z]{2}\s*=([^=]+)", re.DOTALL)
_OPTION = re.compile(r"\(\s*[A-J]\s*\)\s*[.:]?\s*(?=\S)|[A-J]\s*[.):]\s+(?=\S)")


class Readings(NamedTuple):
    """What a text may say: its trees, why there are none, and whether another reader should try."""

    trees: tuple[Node, ...]
    reason: str
    foreign: bool
    text: str


def read(text: str, approximate: bool = False) -> Readings:
    """Read a text that was cleaned; of a sentence, what it states."""
    first = _trees(_IMPLIES.split(text)[-1], approximate)
    label = None if first.trees else _LABEL.fullmatch(text)
    if label:
        return _trees(label[1], approximate)
    option = _OPTION.match(text)
    if option:
        chosen = _trees(text[option.end() :], approximate)
        return chosen._replace(trees=(*first.trees, *chosen.trees)) if chosen.trees else first
    return first


def read_statement(raw: str, approximate: bool = False) -> Readings | None:
    """Read the answer that a sentence states, or return None when it states none."""
    if not _WORD.search(raw):
        return None
    for part in statements(raw):
        text = clean(part)
        if not text:
            continue
        found = read(text, approximate)
        if found.trees:
            return found
    return None


def _trees(text: str, approximate: bool) -> Readings:
    phrase = meaning(text)
    if phrase:
        return Readings((phrase,), "", False, text)
    trees, reason, foreign = list[Node](), "", False
    for grouped, tight in _modes(text):
        try:
            tree = reduced(parse(text, grouped=grouped, tight=tight), approximate)
        except UnreadableError as error:
            reason, foreign = str(error), foreign or isinstance(error, ForeignError)
        else:
            trees.extend([tree] if tree not in trees else [])
    return Readings(tuple(trees), reason, foreign and not trees, text)


def _modes(text: str) -> list[tuple[bool, bool]]:
    grouped = [True, False] if _GROUPS.search(text) and not _ENCLOSED.search(text) else [False]
    return [(mode, tight) for mode in grouped for tight in ((False, True) if "/" in text else (False,))]
