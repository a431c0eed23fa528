"""Programs, judged by their tests, which they run apart from and cannot reach. See `rewards.sandbox`."""

import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from textwrap import indent
from typing import Any, NamedTuple

from rewards.extract import after_thinking
from rewards.registry import reward
from rewards.sandbox import Calls, Limits, NotStartedError, Output, run
from rewards.score import Score
from unigrpo.errors import ConfigError, DataError

WORKERS = 8
"""Programs at a time by default, at most."""

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n`]*$", re.M)
_PYTHON = ("python", "python3", "py")


class _Job(NamedTuple):
    sources: tuple[str, ...]
    tests: Calls | Output


@reward("code", tasks=("text", "understand"))
class Code:
    """The share of its tests that the program in a response passes.

    The tests of a prompt are in columns of the data:

    - `test` and `entry_point`, a function `check` and the name it is called with, as in HumanEval, where the prompt is
      the beginning of the program; they count as one test;
    - or `test_list`, statements that raise if they fail, as in MBPP, perhaps with `test_setup_code` or `test_imports`;
    - or `inputs` and `outputs`, lists of what the program reads and has to write, but for white space that ends a line.

    A column that is text where a list is wanted is read as JSON. A call in a test hands copies to the program and gets
    plain values back, so that a test of what is done to an argument fails.
    """

    own_limit = "seconds"

    def __init__(
        self, seconds: float = 10.0, memory_mb: int = 1024, partial: bool = False, workers: int | None = None
    ) -> None:
        """Args:
        seconds: what a program may take, all its tests included.
        memory_mb: address space of a program, in MiB.
        partial: whether a share of the tests earns that share; by default nothing is earned unless all are passed.
        workers: programs that run at a time; by default one for each core, at most 8.
        """
        for key, value, least in (("seconds", seconds, 0.1), ("memory_mb", memory_mb, 128), ("workers", workers, 1)):
            if value is not None and value < least:
                raise ConfigError(f"args.{key} is {value}: set it to {least:g} or more.")
        self.limits = Limits(seconds=float(seconds), memory_bytes=memory_mb << 20)
        self.partial = partial
        self.workers = workers

    def __call__(
        self,
        responses: Sequence[str],
        prompts: Sequence[str],
        test: Sequence[str | None] | None = None,
        entry_point: Sequence[str | None] | None = None,
        test_list: Sequence[Any] | None = None,
        test_setup_code: Sequence[Any] | None = None,
        test_imports: Sequence[Any] | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> list[Score]:
        """Return what each program earns, a note on why not more, and how it stopped the verifier, if it did."""
        columns = {
            "test": test, "entry_point": entry_point, "test_list": test_list, "test_setup_code": test_setup_code,
            "test_imports": test_imports, "inputs": inputs, "outputs": outputs,
        }  # fmt: skip
        given = {name: column for name, column in columns.items() if column is not None}
        jobs = []
        for place, (response, prompt) in enumerate(zip(responses, prompts, strict=True)):
            row = {name: column[place] for name, column in given.items() if column[place] is not None}
            jobs.append(_job(response, prompt, row))
        # A thread waits for each program. It starts it as well, and outlives it, as a program dies with its starter.
        with ThreadPoolExecutor(self.workers or min(len(os.sched_getaffinity(0)), WORKERS)) as pool:
            return list(pool.map(self._score, jobs))

    def _score(self, job: _Job) -> Score:
        if not job.sources:
            return Score(0.0, note="no program")
        try:
            verdict = run(job.sources, job.tests, self.limits)
        except NotStartedError as error:
            return Score(float("nan"), note=str(error), fault="error")
        share = sum(verdict.passed) / len(verdict.passed)
        return Score(share if self.partial else float(share == 1), note=verdict.note, fault=verdict.fault)


def program(response: str) -> str | None:
    """Return the program in a response, or None if it never came to one.

    What follows the last `</think>` counts, and of that the last `<answer>` block if there is one; of that the last
    block fenced as Python, or else as nothing, or else all of it, its indentation kept.
    """
    text = after_thinking(response)
    if text is None:
        return None
    blocks = _fenced(text)
    python = [body for language, body in blocks if language in _PYTHON]
    chosen = python or [body for language, body in blocks if not language] or ([] if blocks else [text])
    return chosen[-1].strip("\r\n") if chosen and chosen[-1].strip() else None


def _fenced(text: str) -> list[tuple[str, str]]:
    """Return the language and the body of each fenced block; the last may be unclosed."""
    blocks, opening = [], None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif not fence[2] and fence[1].startswith(opening[1]):
            blocks.append((opening[2].lower(), text[opening.end() : fence.start()]))
            opening = None
    if opening is not None:
        blocks.append((opening[2].lower(), text[opening.end() :]))
    return blocks


def _job(response: str, prompt: str, row: dict[str, Any]) -> _Job:
    source = program(response)
    entry = row.get("entry_point", "")
    if "test" in row and entry:
        if not re.search(r"^def\s+check\b", row["test"], re.M):
            raise DataError(f"code: `test` of a row defines no `check`: {row['test']!r:.100}.")
        begun = _begun(prompt, entry)
        tests = Calls((f"check({entry})",), setup=row["test"], helpers=begun, entry_point=entry)
        return _Job(_completed(begun, source, entry) if source and begun else _alone(source), tests)
    if "test_list" in row:
        setup = [*_listed("test_imports", row.get("test_imports", ())), row.get("test_setup_code", "")]
        return _Job(_alone(source), Calls(_some("test_list", row["test_list"]), setup="\n".join(setup)))
    if "inputs" in row and "outputs" in row:
        read, write = _some("inputs", row["inputs"]), _some("outputs", row["outputs"])
        if len(read) != len(write):
            raise DataError(f"code: a row has {len(read)} `inputs` and {len(write)} `outputs`: correct the data.")
        return _Job(_alone(source), Output(read, write))
    raise DataError(
        f"code: the prompt {prompt!r:.60} has no tests: give it the columns `test` and `entry_point`, or `test_list`, "
        "or `inputs` and `outputs`."
    )


def _alone(source: str | None) -> tuple[str, ...]:
    return (source,) if source else ()


def _begun(prompt: str, entry: str) -> str:
    """Return the beginning of a program that a prompt holds, fenced or bare; empty if it holds none."""
    start = re.compile(rf"^\s*(?:async\s+)?def\s+{re.escape(entry)}\b", re.M)
    return next((text for text in (*(body for _, body in _fenced(prompt)), prompt) if start.search(text)), "")


def _completed(begun: str, source: str, entry: str) -> tuple[str, ...]:
    """Return what the whole program may be, the likeliest first: it starts over, or goes on with what was begun."""
    begun = f"{begun.rstrip()}\n"
    name = re.escape(entry)
    if re.search(rf"^(?:async\s+)?(?:def|class)\s+{name}\b|^{name}\s*=", source, re.M):
        return f"{begun}    pass\n\n\n{source}", source
    # A completion may have lost the white space it began with.
    return f"{begun}{source}", f"{begun}    {source}", f"{begun}{indent(source, '    ')}"


def _some(column: str, value: Any) -> tuple[str, ...]:
    found = _listed(column, value)
    if not found:
        raise DataError(f"code: `{column}` of a row is empty: every program needs a test.")
    return found


def _listed(column: str, value: Any) -> tuple[str, ...]:
    """Return a column that is a list of texts, or is text that holds one as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"code: `{column}` of a row is text, but no JSON ({error}): {value!r:.100}.") from error
    parts = value.tolist() if hasattr(value, "tolist") else list(value)
    wrong = [part for part in parts if not isinstance(part, str)]
    if wrong:
        raise DataError(f"code: `{column}` of a row holds {wrong[0]!r:.60}: each of its entries is text.")
    return tuple(parts)
