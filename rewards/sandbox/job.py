"""Judging one program in processes of its own, from the trainer's side."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from rewards.sandbox import values
from unigrpo.errors import DataError, RewardError

_log = logging.getLogger(__name__)

MAIN = Path(__file__).with_name("main.py")
GRACE = 20.0
"""Seconds beyond a program's own that its supervisor may take to start and to report, on a machine that is busy."""


@dataclass(frozen=True)
class Limits:
    """What a program may use, with all its tests together."""

    seconds: float = 10.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 1 << 20
    """Of one file, or of what it writes for one input."""
    namespaces: bool = True
    """Whether to use them where they are allowed; without them Landlock and seccomp have to do."""


@dataclass(frozen=True)
class Calls:
    """Tests that call what the program defines, each a piece of Python that raises if it fails."""

    tests: tuple[str, ...]
    setup: str = ""
    """Run before them, and trusted like them."""
    helpers: str = ""
    """Definitions that the tests may use whatever the program makes of their names."""
    entry_point: str = ""
    """The one that is to be the program's all the same."""


@dataclass(frozen=True)
class Output:
    """Inputs, and what the program has to write for each."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of a program."""

    passed: tuple[bool, ...]
    """Of each test; those that were not reached are failed."""
    note: str
    fault: Literal["", "timeout", "memory", "crash"]


class NotStartedError(RewardError):
    """A program could not be judged, through no fault of its own."""


def run(sources: tuple[str, ...], tests: Calls | Output, limits: Limits) -> Verdict:
    """Run the first of some sources that is Python, and judge it.

    Raises:
        DataError: the tests themselves are no Python.
        NotStartedError: no process could be had for it.
        RewardError: nothing can be run safely on this system.
    """
    job = {"kind": "calls" if isinstance(tests, Calls) else "output", "sources": sources, **vars(limits)}
    count = len(tests.tests if isinstance(tests, Calls) else tests.inputs)
    frames, cut = _supervised(job, vars(tests) if isinstance(tests, Calls) else tests.inputs, limits.seconds + GRACE)
    if frames[0]["unavailable"]:
        raise RewardError(_unavailable(frames[0]))
    _report(frames[0]["enclosed"])
    if len(frames) < 2:
        note = f"not done in {limits.seconds:g} s" if cut else "it took its supervisor down"
        return Verdict((False,) * count, note, "timeout" if cut else "crash")
    report = frames[1]
    if report.get("broken"):
        raise DataError(f"the tests of a program are no Python, so that none can pass: {report['broken']}")
    passed = report["passed"] if isinstance(tests, Calls) else _compared(report["outputs"], tests.outputs)
    passed += [False] * (count - len(passed))
    fault = report["fault"]
    note = report["note"] or ("" if all(passed) else f"wrong output for input {passed.index(False) + 1} of {count}")
    return Verdict(tuple(passed), note, fault)


def _supervised(job: dict[str, Any], tests: Any, seconds: float) -> tuple[list[dict[str, Any]], bool]:
    """Return what the supervisor wrote, and whether the tests had to be stopped by force."""
    with tempfile.TemporaryDirectory(prefix="unigrpo-program-", ignore_cleanup_errors=True) as folder:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-S", str(MAIN), folder, str(os.getpid())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(), cwd="/",
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotStartedError(f"the sandbox did not start: {error}") from error
        with process:
            try:
                written, errors = process.communicate(_frame(job) + _frame(tests), timeout=seconds)
            except subprocess.TimeoutExpired as late:
                written, errors = late.stdout or b"", b"no answer in time"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    frames = _frames(written)
    if not frames:
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotStartedError(f"the sandbox did not start: {reason or f'status {process.returncode}'}")
    return frames, process.returncode in (values.STUBBORN, -signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Return a program's whole environment: none of the trainer's secrets, one thread, the same hashes each time."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONHASHSEED": "0", **single, **kept}


def _frame(message: Any) -> bytes:
    return values.framed(message, 1 << 28)


def _frames(written: bytes) -> list[dict[str, Any]]:
    """Return the whole messages of a stream."""
    found = []
    while len(written) >= 4:
        stop = 4 + int.from_bytes(written[:4], "big")
        if len(written) < stop:
            break
        found.append(json.loads(written[4:stop]))
        written = written[stop:]
    return found


def _compared(outputs: list[str | None], wanted: tuple[str, ...]) -> list[bool]:
    written = (None if output is None else _lines(output) for output in outputs)
    return [lines == _lines(want) for lines, want in zip(written, wanted, strict=False)]  # some were not reached


def _lines(text: str) -> list[str]:
    """Return the lines, without white space where lines and the text end."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


@cache
def _report(enclosed: bool) -> None:
    """Say once how programs are kept apart."""
    if enclosed:
        _log.info("rewards.code: programs run in namespaces of their own, without network or files but Python's.")
    else:
        _log.warning(
            "rewards.code: namespaces are not allowed here, so Landlock and seccomp alone keep programs from files and "
            "network, and programs cannot write files."
        )


def _unavailable(told: dict[str, Any]) -> str:
    return (
        f"rewards.code cannot run programs safely on this system: {told['unavailable']}. It needs Linux on x86_64 or "
        "aarch64 with seccomp filters, and either user namespaces or Landlock: allow them, or score elsewhere."
    )
