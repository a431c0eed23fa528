"""The official GSM8K files: `question`, and `answer` as a rationale that ends in `#### n`."""

import re

from unigrpo.data.files import Record
from unigrpo.errors import DataError

_CALCULATOR = re.compile(r"<<[^<>]*>>")


def gsm8k(record: Record) -> Record:
    """Return the row as prompt, answer without commas, and a response that thinks the rationale before it answers.

    Source: github.com/openai/grade-school-math; the response has MMaDA's thinking format.
    """
    question, solution = record.values.get("question"), record.values.get("answer")
    if not isinstance(question, str) or not isinstance(solution, str):
        have = ", ".join(record.values) or "none"
        raise DataError(
            f"{record.where}: GSM8K has `question` and `answer` as text, but the columns are: {have}. For another "
            "format, set data.source=file."
        )
    rationale, marker, answer = solution.rpartition("####")
    answer = answer.strip().replace(",", "")
    if not marker or not answer:
        raise DataError(f"{record.where}: `answer` does not end in `#### n`, as GSM8K's do: {solution[-60:]!r}.")
    thought = _CALCULATOR.sub("", rationale).strip()
    values = {"prompt": question, "answer": answer, "response": f"<think>{thought}</think> {answer}"}
    return Record(record.name, record.where, values)
