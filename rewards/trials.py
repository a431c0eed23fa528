r"""Answers to try a reward with: the right one in the ways a model may write it, and wrong ones it must not take."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from rewards.arguments import trial
from rewards.extract import answer_part
from unigrpo.types import DRAWING, Prompt, Rollout

AS_IT_IS, BOXED, FORMAT, BOXED_FORMAT, OWN = (
    "as it is",
    "boxed",
    "in the format",
    "boxed in the format",
    "as in the data",
)
"""The ways to write an answer; the last is a response that the data have."""
ANOTHER, SIGN, PERCENT = "the answer of another row", "the other sign", "a percent sign"
THOUGHT = "So we work it out step by step."
FORMULA = 200
"""Characters of a right answer in which any number matters; that of a longer one, such as a program, may not."""
LONG = 300
"""Repetitions and words of a long response."""

_SPAN = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(
    r"(?P<before>\s*\\?\$?\s*)(?P<sign>[+-]?)(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?P<after>\s*\\?%?\s*)"
)
_INSIDE = re.compile(r"\d+(?:\.\d+)?")
_LETTER = re.compile(r"(?P<before>\s*\(?)(?P<letter>[A-J])(?P<after>[).]*\s*)")
_OPPOSITE = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_PERCENT = re.compile(r"%|per ?cent", re.IGNORECASE)
_DECORATION = re.compile(r"\\(?:text|mathrm|mathbf|left|right|displaystyle|[dt](?=frac))|[\s${}()\\,.]")


def writings(answer: str, task: str, template: str | None) -> dict[str, str]:
    """Return an answer as responses, by the way it is written.

    Args:
        template: the format that the config asks for, with a `{name}` for each span; the answer is the one called
            `answer`, or else the last.
    """
    if task in DRAWING:
        return {"a thought": f"{answer}</think>", "a thought in tags": f"<think>{answer}</think>"}
    boxed = rf"\boxed{{{answer}}}"
    plain = {AS_IT_IS: answer, BOXED: boxed}
    if not template:
        return plain
    return {FORMAT: filled(template, answer), BOXED_FORMAT: filled(template, boxed)} | plain


def filled(template: str, answer: str) -> str:
    """Return a response of this format with the answer in its place."""
    names = _SPAN.findall(template)
    place = "answer" if "answer" in names else names[-1]
    return _SPAN.sub(lambda span: answer if span[1] == place else THOUGHT, template)


def degenerate(gold: str, prompt: str, others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield responses that say nothing, or everything at once, each with its name; none of them is right.

    Args:
        others: different right answers of other rows.
    """
    digit = next((digit for digit in "123456789" if digit not in gold), "1")
    yield "empty", ""
    yield "white space", " \n\t \n"
    yield "one digit again and again", f"{digit} " * LONG
    yield "unclosed tags", r"<think> <answer> \boxed{"
    yield "long garbage", _garbage()
    # A question that holds its answer, as multiple choice does, may be echoed and right by chance.
    if not _mentions(prompt, gold):
        yield "the prompt", prompt
    if others:
        half = (len(others) + 1) // 2
        every = [answer_part(one) or one for one in (*others[:half], gold, *(others[half:] or others[:1]))]
        yield "all answers at once", ", ".join(every)
        yield "all answers in boxes", " ".join(rf"\boxed{{{answer}}}" for answer in every)


def mutated(gold: str, prompt: str, other: str | None) -> Iterator[tuple[str, str]]:
    """Yield answers that are near the right one and wrong, each with its name.

    Args:
        other: the right answer of another row, which is another one.
    """
    if other is not None:
        yield ANOTHER, other
    number, letter = _NUMBER.fullmatch(gold), _LETTER.fullmatch(gold)
    if number:
        yield from _other_numbers(number, "%" in gold or bool(_PERCENT.search(prompt)))
    elif letter:
        shifted = "A" if letter["letter"] == "J" else chr(ord(letter["letter"]) + 1)
        yield "the next letter", f"{letter['before']}{shifted}{letter['after']}"
    elif gold.strip().lower() in _OPPOSITE:
        yield "the opposite", _OPPOSITE[gold.strip().lower()]
    elif (inside := _INSIDE.search(gold)) and len(gold) <= FORMULA and "\n" not in gold:
        more = _raised(inside[0])
        yield "its first number + 1", f"{gold[: inside.start()]}{more}{gold[inside.end() :]}"


def _other_numbers(number: re.Match[str], about_percent: bool) -> Iterator[tuple[str, str]]:
    before, sign, digits, after = number.groups()
    # One more in size, so that the sign stays: -3 becomes -4.
    yield "number + 1", f"{before}{sign}{_raised(digits)}{after}"
    if swapped := _swapped(digits):
        yield "two digits swapped", f"{before}{sign}{swapped}{after}"
    if _value(number):
        yield SIGN, f"{before}{'' if sign == '-' else '-'}{digits}{after}"
        if not about_percent:
            yield PERCENT, f"{before}{sign}{digits}%"


def _raised(digits: str) -> str:
    return f"{Decimal(digits.replace(',', '')) + 1:f}"


def _value(number: re.Match[str]) -> Decimal:
    return Decimal(number["sign"] + number["digits"].replace(",", ""))


def _swapped(digits: str) -> str | None:
    """The digits with the last two neighbours that differ swapped; None if all are the same."""
    for at in range(len(digits) - 2, -1, -1):
        pair = digits[at : at + 2]
        if pair.isdigit() and pair[0] != pair[1]:
            return f"{digits[:at]}{pair[::-1]}{digits[at + 2 :]}"
    return None


def differ(one: str, other: str) -> bool:
    """Return whether two right answers surely are different ones: two numbers, or two texts, or one of each."""
    numbers = _NUMBER.fullmatch(one), _NUMBER.fullmatch(other)
    if numbers[0] and numbers[1]:
        sizes = sorted(abs(_value(number)) for number in numbers if number)
        return sizes[1] not in (sizes[0], 100 * sizes[0])  # 50 % is 50 to some, and half to others
    if any(_INSIDE.search(text) for text, number in zip((one, other), numbers, strict=True) if not number):
        return False  # 3/6 and 0.5, for example
    return sorted(_plain(one)) != sorted(_plain(other))


def _plain(text: str) -> str:
    return _DECORATION.sub("", text).casefold()


def _mentions(prompt: str, gold: str) -> bool:
    return _plain(gold) in _plain(prompt)


def _garbage() -> str:
    """Noise without digits and capitals, so that it holds no answer by chance."""
    draw = random.Random("garbage")
    letters = "abcdefghijklmnopqrstuvwxyz" * 3 + "{}[]()\\^_&#$~|<>*+-=/;:!?éλ漢🙂\n"
    return " ".join("".join(draw.choices(letters, k=draw.randint(3, 12))) for _ in range(LONG))


def responding(prompt: Prompt, response: str, name: str, image: np.ndarray | None = None) -> Rollout:
    """Return a rollout that no policy drew, with a token for each word of the response and one for its end.

    Args:
        image: what was drawn; by default as in `trial`.
    """
    words = response.split()
    _, ids = np.unique(np.array(words, dtype=object).astype(str), return_inverse=True) if words else (None, [])
    rollout = trial(prompt)
    return replace(
        rollout,
        id=f"check/{prompt.id}/{name}",
        output=response,
        tokens=np.array([*ids, len(words)], dtype=np.int64),
        commit_step=np.arange(len(words) + 1, dtype=np.int32),
        sampling=replace(rollout.sampling, gen_length=len(words) + 1, block_length=len(words) + 1),
        image=rollout.image if image is None else image,
    )


def pictures(resolution: int) -> dict[str, np.ndarray]:
    """Return pictures of nothing, [R, R, 3] uint8, by name."""
    noise = np.random.default_rng(0).integers(0, 256, (resolution, resolution, 3), dtype=np.uint8)
    return {"a grey picture": np.full_like(noise, 128), "a noise picture": noise}
