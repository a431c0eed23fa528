"""From what a judge answered to a number: one of several labels, or a number in a range."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rewards.judge.reply import Alternatives, Answer
from rewards.score import Score
from unigrpo.errors import ConfigError

AROUND = " \t\r\n*_\"'`.,:;!()[]{}"
"""What may stand around a label."""
NUMBER = re.compile(r"(?<![\w.])-?[0-9]+(?:\.[0-9]+)?(?!\.?\w)")
MOST = 20
"""Alternatives of a token that are asked for: the most that OpenAI gives, and vLLM unless told otherwise."""


class Verdict(Protocol):
    """A kind of answer: how it is asked for, and what it is worth."""

    def instruction(self, constrain: bool) -> str:
        """Return the sentence that says how to answer."""
        ...

    def request(self, constrain: bool) -> dict[str, Any]:
        """Return what it adds to a request."""
        ...

    def read(self, answer: Answer) -> Score:
        """Return what an answer is worth; NaN, with a note, when it cannot be read."""
        ...


@dataclass(frozen=True)
class Choices:
    """One of several labels, each with a value; with log-probabilities, the mean of the values."""

    values: Mapping[str, float]
    logprobs: bool

    def __post_init__(self) -> None:
        for label, value in self.values.items():
            if not isinstance(label, str) or not plain(label):
                raise ConfigError(f'choices has the label {label!r}: write a text, in quotes (as "yes", "no" or "5").')
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"choices.{label} is {value!r}: give every label a finite number.")
        if len({plain(label) for label in self.values}) < max(2, len(self.values)):
            raise ConfigError(f"choices are {', '.join(self.values)}: give at least two that differ in their letters.")
        for label in self.values if self.logprobs else ():
            alike = [other for other in self.values if other != label and plain(other)[0] == plain(label)[0]]
            if alike:
                raise ConfigError(
                    f"choices {label} and {alike[0]} begin with the same letter, so that the log-probabilities of "
                    "a first token cannot tell them apart: rename one, or set logprobs=false."
                )

    def instruction(self, constrain: bool) -> str:
        """Return the sentence that says how to answer."""
        labels = ", ".join(self.values)
        if constrain:
            return f"Answer with one of these and nothing else: {labels}."
        return f"The last line of your answer must be one of these and nothing else: {labels}."

    def request(self, constrain: bool) -> dict[str, Any]:
        """Return what it adds to a request."""
        scored = {"logprobs": True, "top_logprobs": MOST} if self.logprobs else {}
        return scored | ({"structured_outputs": {"choice": list(self.values)}} if constrain else {})

    def read(self, answer: Answer) -> Score:
        """Return what an answer is worth; NaN, with a note, when it cannot be read."""
        said = self._said(answer)
        if said is None:
            return _unreadable(answer, f"none of {', '.join(self.values)}")
        label, spelled = said
        mass = masses(_place(spelled, answer) if self.logprobs else (), self.values)
        total = sum(mass.values())
        if not total:
            return Score(float(self.values[label]), note=f"the judge says {label}")
        value = sum(self.values[name] * part for name, part in mass.items()) / total
        return Score(value, {"label_mass": total}, f"the judge says {label}")

    def _said(self, answer: Answer) -> tuple[str, str] | None:
        """The label an answer ends with, and how it is written there."""
        labels = {plain(label): label for label in self.values}
        line = _last_line(answer.text)
        for part in (line, line.rpartition(":")[2]):
            label = labels.get(plain(part))
            whole = plain(answer.text) == plain(part)
            if label is not None and (whole or not answer.cut):
                return label, part.strip(AROUND)
        return None


@dataclass(frozen=True)
class Number:
    """A number in a range, which becomes 0 to 1."""

    low: float
    high: float

    @classmethod
    def of(cls, bounds: Sequence[Any]) -> "Number":
        """Read `[low, high]`."""
        good = len(bounds) == 2 and all(isinstance(b, int | float) and math.isfinite(b) for b in bounds)
        if not good or bounds[0] >= bounds[1]:
            raise ConfigError(f"number is {list(bounds)}: give the lowest and the highest, as in [0, 10].")
        return cls(*bounds)

    def instruction(self, constrain: bool) -> str:
        """Return the sentence that says how to answer."""
        what = f"a number from {self.low:g} to {self.high:g} and nothing else."
        return f"Answer with {what}" if constrain else f"The last line of your answer must be {what}"

    def request(self, constrain: bool) -> dict[str, Any]:
        """Return what it adds to a request."""
        return {"structured_outputs": {"regex": self._pattern()}} if constrain else {}

    def _pattern(self) -> str:
        """What the judge may say: nothing outside the range, where that can be put in a short pattern."""
        low, high = int(self.low), int(self.high)
        if (low, high) != (self.low, self.high) or low < 0 or high - low > 100:
            return r"-?[0-9]{1,6}(\.[0-9]{1,3})?"
        return rf"({'|'.join(map(str, range(low, high)))})(\.[0-9]{{1,2}})?|{high}"

    def read(self, answer: Answer) -> Score:
        """Return what an answer is worth; NaN, with a note, when it cannot be read."""
        line = _last_line(answer.text).rpartition(":")[2].replace("\u2212", "-")
        line = re.sub(rf"\s*(?:/|\bout of\b)\s*{re.escape(f'{self.high:g}')}(?![\w.]*\w)", "", line)
        found = [float(number) for number in NUMBER.findall(line)]
        if answer.cut or len(found) != 1 or not self.low <= found[0] <= self.high:
            return _unreadable(answer, f"no number from {self.low:g} to {self.high:g}")
        return Score((found[0] - self.low) / (self.high - self.low), note=f"the judge says {found[0]:g}")


def plain(text: str) -> str:
    """Return a label as it is compared: without what stands around it, in small letters."""
    return text.strip(AROUND).casefold()


def masses(place: Alternatives, labels: Iterable[str]) -> dict[str, float]:
    """Return the probability of each label, from the tokens that might stand where it begins.

    A constrained judge is bound to finish the label that it has begun, so that its first token has its probability.

    Args:
        labels: no two begin with the same letter.
    """
    found = dict.fromkeys(labels, 0.0)
    for text, probability in place:
        start = plain(text)
        for label in found:
            if start and plain(label).startswith(start):
                found[label] += probability
    return found


def _place(spelled: str, answer: Answer) -> Alternatives:
    """The place of the token with which the last occurrence of a text begins; empty if it is in no token."""
    texts = [place[0][0] for place in answer.tokens]
    start, end = "".join(texts).rfind(spelled), 0
    for text, place in zip(texts, answer.tokens, strict=True):
        end += len(text)
        if 0 <= start < end:
            return place
    return ()


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def _unreadable(answer: Answer, wanted: str) -> Score:
    cut = ", cut off: give it more max_tokens" if answer.cut else ""
    return Score(math.nan, note=f"the judge's answer is {wanted}{cut}: {answer.text.strip()[-120:]!r}")
