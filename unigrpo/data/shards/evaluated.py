"""Layouts of data sets that models are evaluated on: from their columns to prompt, answer and what a reward reads."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.gsm8k import gsm8k
from unigrpo.data.wording import LETTERS
from unigrpo.errors import DataError

Values = dict[str, Any]
GOLD = ("answer", "answerKey", "label", "gold")


def gsm8k_rows(record: Record, section: DataSection) -> Values:
    """GSM8K: `question`, and `answer` that ends in `#### n`."""
    return gsm8k(record).values


def countdown(record: Record, section: DataSection) -> Values:
    """Countdown as d1 has it: `input` with numbers between commas, `output` with the target."""
    numbers, target = column(record, ("input", "numbers", "nums")), column(record, ("output", "target"))
    given = [part.strip() for part in str(numbers).split(",")] if isinstance(numbers, str) else list(numbers)
    prompt = f"Use {', '.join(map(str, given))} to make {target}:"
    return {
        "prompt": prompt,
        "numbers": [int(number) for number in given],
        "target": int(str(target)),
        "answer": str(target),
    }


def sudoku(record: Record, section: DataSection) -> Values:
    """Sudoku as d1 has it: `Puzzle` and `Solution`, cells in one run, 0 where they are blank."""
    puzzle, solution = str(column(record, ("Puzzle", "puzzle"))), str(column(record, ("Solution", "solution")))
    return {"prompt": puzzle, "puzzle": puzzle, "solution": solution, "answer": solution}


def choices(record: Record, section: DataSection) -> Values:
    """Multiple choice: `choices` or `options`, and the right one by letter, label, number from 0, or text.

    Lists may be written out as text; `choices` may hold `text` and `label`; the question may hold `stem` and `choices`.
    """
    question: Any = column(record, ("question", "prompt"))
    inside = question if isinstance(question, Mapping) else {}
    texts, labels = _texts(inside.get("choices") or column(record, ("choices", "options")), record)
    answer = _letter(column(record, GOLD), texts, labels, record)
    return {"prompt": str(inside.get("stem", question)), "choices": texts, "answer": answer}


def column(record: Record, names: tuple[str, ...]) -> Any:
    """Return the first of some columns that a row has.

    Raises:
        DataError: it has none of them.
    """
    for name in names:
        value = record.values.get(name)
        if value is not None and value != "":
            return value
    have = ", ".join(record.values) or "none"
    wanted = " or ".join(map(repr, names))
    raise DataError(f"{record.where}: there is no column {wanted}, which this data.layout needs. Its columns: {have}.")


def _texts(found: Any, record: Record) -> tuple[list[str], list[str]]:
    """The texts of the choices, and what the data calls them."""
    found = _literal(found)
    if isinstance(found, Mapping):
        texts, labels = found.get("text"), found.get("label")
    elif isinstance(found, Sequence) and found and all(isinstance(one, Mapping) for one in found):
        texts, labels = [one.get("text") for one in found], [one.get("label") for one in found]
    else:
        texts, labels = found, None
    if not isinstance(texts, Sequence) or isinstance(texts, str) or not 2 <= len(texts) <= len(LETTERS):
        raise DataError(f"{record.where}: the choices are {found!r:.80}, but must be a list of 2 to 26 texts.")
    return [str(text) for text in texts], [str(label) for label in labels or LETTERS[: len(texts)]]


def _literal(found: Any) -> Any:
    """A list that is written out as Python or JSON would, as what it is."""
    if not isinstance(found, str) or not found.strip().startswith(("[", "{")):
        return found
    try:
        return ast.literal_eval(found.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return found


def _letter(gold: Any, texts: list[str], labels: list[str], record: Record) -> str:
    """The letter of the right choice."""
    if isinstance(gold, int) and not isinstance(gold, bool) and str(gold) not in labels:
        place = gold if 0 <= gold < len(texts) else -1
    else:
        places = [at for names in (labels, texts) for at, name in enumerate(names) if name == str(gold).strip()]
        place = places[0] if places else -1
    if place < 0:
        raise DataError(f"{record.where}: the answer {gold!r:.60} is none of the choices {', '.join(labels)}.")
    return LETTERS[place]
