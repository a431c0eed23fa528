"""The verdict on an answer. Only for a child process, under an alarm of the caller, which may raise at any point."""

import logging
import re
from functools import lru_cache
from typing import NamedTuple

from rewards.maths import fallback, undone
from rewards.maths.chains import label_of
from rewards.maths.clean import clean
from rewards.maths.compare import UnsureError, equal
from rewards.maths.options import Options
from rewards.maths.readings import Readings, read, read_statement
from rewards.maths.scalars import decimal_digits
from rewards.maths.stated import statements
from rewards.maths.tree import ForeignError, Node, UnreadableError
from rewards.maths.words import chosen, clock, is_phrase, is_time, letters, same_time, spelled, yes_or_no

logging.getLogger("math_verify").setLevel(logging.ERROR)

_SPACE = re.compile(r"(?<![^\W_])\s+|\s+(?![^\W_])")
_OPERATION = re.compile(r"\\(?:sum|prod|int|lim|cdots|ldots|dots)(?![A-Za-z])|\\begin\{vmatrix\}|\\det(?![A-Za-z])")
_SEVERAL = re.compile(r"(?=[A-J]{2,6}$)A?B?C?D?E?F?G?H?I?J?")
_CODE = re.compile(r"__|[A-Za-z_]\s*\(\s*['\"]")
_GLUED_UNIT = re.compile(r"(?<=\d)(?=[mshgL]$)")


class Target(NamedTuple):
    """What is known of a reference before any answer is looked at."""

    text: str
    readings: Readings
    letters: frozenset[str]
    besides: str
    approximate: bool


def verify(part: str, gold: str, options: Options) -> tuple[bool, str]:
    """Return whether an answer equals the reference, and why not in a few words."""
    try:
        return _verdict(part, _target(gold), options)
    except MemoryError:
        raise
    except Exception as error:  # the model wrote it, so it is wrong rather than an error of the run
        return False, f"{type(error).__name__}: {error!s:.80}"


@lru_cache(maxsize=1 << 14)
def _target(gold: str) -> Target:
    text = clean(gold) or gold.strip()
    readings = read(text)
    approximate = any(decimal_digits(_value(tree)) for tree in readings.trees)
    if not readings.trees and not readings.foreign and is_phrase(gold):
        readings = read_statement(gold) or readings
    several = letters(text) or (frozenset(text) if _SEVERAL.fullmatch(text) else frozenset())
    besides = ""
    if not several:
        one, besides = chosen(text)
        several = one if besides else several
    return Target(text, readings, several, besides, approximate)


def _outcome(text: str) -> str | None:
    """What stands behind the last equals sign of an operation that is spelled out; None where there is none.

    Such an operation is not computed here, so that the equation counts as the statement of its right side.
    """
    sides, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "=" and depth == 0:
            sides.append("")
        else:
            sides[-1] += character
    return sides[-1].strip() or None if len(sides) > 1 and _OPERATION.search(sides[-2]) else None


def _value(tree: Node) -> Node:
    pair = label_of(tree)
    value = pair[1] if pair else tree
    return value.args[0] if value.op == "unit" else value


def _verdict(part: str, target: Target, options: Options) -> tuple[bool, str]:
    text = clean(part)
    if not text:
        return False, "no answer"
    if _CODE.search(part) and not _CODE.search(target.text):
        return False, "a program"
    if _SPACE.sub("", text) == _SPACE.sub("", target.text):
        return True, ""
    if target.letters:
        verdict = _choice(text, target, options)
        if verdict is not None:
            return verdict
    given, wanted = clock(text), clock(target.text)
    if given and wanted:
        return same_time(given, wanted), "another time"
    if is_time(given or wanted):
        return False, "a time and something else"
    verdict = _read_and_compare(part, text, target, options)
    outcome = None if verdict[0] or "=" in target.text else _outcome(text)
    return verdict if outcome is None else _read_and_compare(outcome, outcome, target, options)


def _choice(text: str, target: Target, options: Options) -> tuple[bool, str] | None:
    """The verdict on a choice; None when the answer may be what the chosen letter stands for."""
    given, besides = chosen(text if len(text) > 1 else text.upper())
    if not given:
        stated = next((found for words in statements(text) if (found := chosen(clean(words) or ""))[0]), None)
        given, besides = stated or (given, besides)
    if given != target.letters:
        return None if target.besides and not given else (False, "another choice")
    if target.besides and besides and not verify(besides, target.besides, options)[0]:
        return False, "the letter of the choice and another value"
    return True, ""


def _read_and_compare(part: str, text: str, target: Target, options: Options) -> tuple[bool, str]:
    if any(tree.op == "unit" for tree in target.readings.trees):
        text = _GLUED_UNIT.sub(" ", text)
    readings = read(text, target.approximate)
    if not target.readings.trees:
        wanted = spelled(target.text)
        if wanted and (
            spelled(text) == wanted or any(spelled(clean(words) or "") == wanted for words in statements(part))
        ):
            return True, ""
        if wanted in ("yes", "no", "true", "false") and yes_or_no(text) == wanted:
            return True, ""
        if target.readings.foreign and "\\" in target.text:
            return fallback.agree(text, target.text), "not what Math-Verify takes"
        return False, "other words"
    if not readings.trees and not readings.foreign:
        readings = read_statement(part, target.approximate) or readings
    if readings.foreign:
        return fallback.agree(text, target.text), "not what Math-Verify takes"
    if not readings.trees:
        return False, readings.reason
    return _compare_all(readings, target, options)


def _compare_all(readings: Readings, target: Target, options: Options) -> tuple[bool, str]:
    reason = "another value"
    for tree in readings.trees:
        for gold in target.readings.trees:
            undone_ = _left_undone(tree, gold, options)
            if undone_:
                reason = undone_
                continue
            try:
                right = equal(tree, gold, options)
            except UnsureError:
                right = fallback.agree(readings.text, target.readings.text)
            except ForeignError as error:
                right, reason = fallback.agree(readings.text, target.readings.text), str(error)
            except UnreadableError as error:
                right, reason = False, str(error)
            if right:
                return True, ""
    return False, reason


def _left_undone(tree: Node, gold: Node, options: Options) -> str:
    more = undone.operations(tree) - undone.operations(gold)
    if more:
        return f"unevaluated {sorted(more)[0]}"
    if options.simplified and undone.arithmetic(tree) and not undone.arithmetic(gold):
        return "arithmetic left undone"
    return ""
