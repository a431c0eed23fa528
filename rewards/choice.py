r"""Multiple choice: which one letter, or which choice, does a response settle on?"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from rewards.extract import answer_part
from rewards.registry import reward
from unigrpo.errors import ConfigError, DataError

LETTERS = "ABCDEFGHIJ"
LIMIT = 4000
"""Characters of the answer part that are read: the last ones."""

_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf|boldsymbol|bf|rm)\b|[${}*`\"]|\\[()\[\]]|\\[,;! ]")
_NAMED = re.compile(r"(?:the\s+)?(?:(?:final|correct|right|best)\s+)*(?:answer|option|choice)\s*(?:is)?\s*:?\s*", re.I)
_ALONE = re.compile(r"[(\[]?([A-Za-z])[)\].:]*")
_WITH_TEXT = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:,]+|\s+[-\u2013]|\n)\s*(\S.*)", re.S)
_CLAIM = re.compile(
    r"\b(?:(?:answer|option|choice)\b|(?:i|we)\s+(?:choose|pick|select))(?:\s+(?:is|would\s+be))?\s*:?\s*"
    r"(?:(?:the\s+)?(?:(?:correct|right|best)\s+)?(?:answer|option|choice|letter)\s*:?\s*)?"
    r"(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])\b(?![-+'\u2019]))",
    re.I,
)
_HEDGE = re.compile(
    r"\b(?:not|never|maybe|perhaps|possibly|might|may|could|either|neither|if|whether|unless|unsure|wrong|incorrect)\b|n['\u2019]t\b",
    re.I,
)
_DOUBT = re.compile(r"[).\s]*\?")
_SENTENCE = re.compile(r"[.!?](?:\s|$)|\n")
_ALSO = re.compile(
    r"(?:\b(?:[Oo]r|[Aa]nd|nor|[Aa]lso|[Mm]aybe|[Pp]erhaps)|[,/&])\s*(?:[(\[]([A-Z])[)\]]|([A-Z])\b(?!\s+[a-z]))"
)
_AFTER_A_LETTER = re.compile(r"\s*(?:[.,;:!)\n]|$|(?:because|since|as|which|for)\b)")


class _Choices(NamedTuple):
    letters: str
    texts: tuple[str, ...]
    """Compared forms, in the order of the letters; empty when not known."""


def check_index_from(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless `index_from` is 0, 1 or not given."""
    value = settings.get("index_from")
    if value not in (None, 0, 1) or isinstance(value, bool):
        raise ConfigError(
            f"rewards.choice.args.index_from is {value!r}: set it to 0 or 1, what the first choice counts."
        )


@reward("choice", tasks=("text", "understand"), check=check_index_from)
def choice(
    response: str, answer: str, choices: Sequence[str] | Mapping | None = None, index_from: int | None = None
) -> float:
    r"""Return 1 when the answer part settles on the right choice and no other, else 0.

    It may be the letter alone (`B`, `(b)`, `B.`, `\text{B}`, `option B`), the letter with the text of its choice, the
    text alone, or sentences of which one or more say `the answer is (B)`, and never that it might or might not be.

    Args:
        answer: the right letter, or the text of the choice.
        choices: a column: the texts in order, or a record of `text` and `label`. Without it there are letters A to J.
        index_from: set it to 0 or 1 when `answer` is instead the number of the choice, counted from there.
    """
    known = _known(choices)
    part = answer_part(response)
    return 0.0 if part is None else float(_chosen(part[-LIMIT:], known) == _gold(answer, known, index_from))


def _chosen(text: str, known: _Choices) -> str | None:
    """Return the letter that a text settles on, None if there is none, or several."""
    plain = _WRAPPER.sub(" ", text).strip()
    whole = _whole(plain, known)
    return whole if whole is not None else _claimed(plain, known)


def _whole(text: str, known: _Choices) -> str | None:
    """Return the letter of a text that is one choice and nothing else."""
    named = _NAMED.match(text)
    for candidate in (text, text[named.end() :].strip() if named else text):
        alone = _ALONE.fullmatch(candidate)
        if alone:
            return _letter(alone[1], known)
        if _compared(candidate) in known.texts:
            return _of_text(candidate, known)
        both = _WITH_TEXT.fullmatch(candidate)
        letter = _letter(both[1], known) if both else None
        if both and letter and known.texts and _of_text(both[2], known) == letter:
            return letter
        if both and letter and not known.texts and not _ALSO.search(both[2]) and not _CLAIM.search(both[2]):
            return letter
    return None


def _claimed(text: str, known: _Choices) -> str | None:
    """Return the one letter of all claims in sentences, such as `so the answer is (B)`."""
    letters: set[str | None] = set()
    for claim in _CLAIM.finditer(text):
        before = _SENTENCE.split(text[max(0, claim.start() - 200) : claim.start()])[-1]
        if not claim[1] and claim[2] not in "BCDEFGHJ" and not _AFTER_A_LETTER.match(text, claim.end()):
            continue  # an article or a pronoun: `the answer is a number`
        doubted = _HEDGE.search(before) or _DOUBT.match(text, claim.end())
        letters.add(None if doubted else _letter(claim[1] or claim[2], known))
        also = _ALSO.search(text, claim.end(), claim.end() + 60)
        if also:
            letters.add(_letter(also[1] or also[2], known))
    return letters.pop() if len(letters) == 1 else None


def _gold(answer: str, known: _Choices, index_from: int | None) -> str:
    text = str(answer).strip()
    if index_from is not None:
        place = int(text) - index_from if text.isdecimal() else -1
        found = known.letters[place] if 0 <= place < len(known.letters) else None
    else:
        alone = _ALONE.fullmatch(text)
        # A choice whose text is a letter is meant by its text only if no choice has that letter.
        found = (_letter(alone[1], known) if alone else None) or _of_text(text, known)
    if found is None:
        raise DataError(
            f"choice: the answer {text!r:.80} is none of {', '.join(known.letters)} nor the text of one choice: "
            "correct the data, or set rewards.choice.args.index_from if it is a number."
        )
    return found


def _letter(letter: str, known: _Choices) -> str | None:
    return letter.upper() if letter.upper() in known.letters else None


def _of_text(text: str, known: _Choices) -> str | None:
    """Return the letter of the one choice that reads so."""
    wanted = _compared(text)
    places = [place for place, choice in enumerate(known.texts) if choice == wanted]
    return known.letters[places[0]] if len(places) == 1 else None


def _compared(text: str) -> str:
    return " ".join(_WRAPPER.sub(" ", text).split()).rstrip(".").strip().casefold()


def _known(choices: Any) -> _Choices:
    if choices is None:
        return _Choices(LETTERS, ())
    texts = choices["text"] if isinstance(choices, Mapping) else choices
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    return _compiled(tuple(map(str, texts)), tuple(map(str, labels)) if labels is not None else None)


@lru_cache(maxsize=1 << 12)
def _compiled(texts: tuple[str, ...], labels: tuple[str, ...] | None) -> _Choices:
    if not 2 <= len(texts) <= 26:
        raise DataError(f"choice: `choices` has {len(texts)} entries: give it 2 to 26 texts.")
    letters = "".join(labels) if labels else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(texts)]
    if (
        len(letters) != len(texts)
        or len(set(letters)) != len(letters)
        or not letters.isalpha()
        or not letters.isupper()
    ):
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(texts)]
    return _Choices(letters, tuple(_compared(text) for text in texts))
