"""Starting a program behind walls, judging it from outside of them, and reporting.

When a program is forked off, nothing that its process inherits tells what the tests are: they are read afterwards.
"""

import fcntl
import os
import resource
import signal
import site
import sys
import time
from collections.abc import Callable
from math import ceil
from typing import Any, NoReturn

from . import enclosure, kernel, program, remote, values
from .trial import Trial

JOB = 1 << 28
"""Bytes of a job, or of a report."""
OUTBOX, INBOX = 3, 4
"""Where a program's process has its ends of the pipes."""
PATIENCE = 0.5
"""Seconds that tests, which may catch every exception, have to end when they were told that their time is up."""
REAPED = 0.1
"""Seconds that a program which has closed its files is given to end."""


class LateError(BaseException):
    """The time is up."""


class Clock:
    """The time that a program and its tests have together."""

    late = False

    def start(self, seconds: float) -> None:
        """Raise `LateError` in this process after some seconds, and end it if that does not stop the clock."""
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, seconds, PATIENCE)

    def stop(self) -> None:
        """Raise nothing from now on."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def _ring(self, *_: Any) -> NoReturn:
        if self.late:
            os._exit(values.STUBBORN)
        self.late = True
        raise LateError


def supervise(folder: str) -> None:
    """Read a program from standard input, judge it, and write to standard output: that it started, then how it ended.

    Args:
        folder: an empty one, for the program.
    """
    job = values.receive(0, JOB)
    enclosure.bound(resource.RLIMIT_AS, job["memory_bytes"])
    site.setquit()
    sys.path += site.getsitepackages()
    null = os.open(os.devnull, os.O_RDWR)
    box, job["enclosed"] = _enclosed(folder) if job["namespaces"] else (folder, False)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # so that the program cannot look in here, nor reopen what is open here
    os.environ |= {"HOME": box, "TMPDIR": box}
    os.chdir(box)
    job["told"], job["running"] = False, 0
    job["tests"], job["reports"] = os.dup(0), os.dup(1)
    for place in (0, 1, 2):  # tests may print, or read
        os.dup2(null, place)
    judge = _judge_calls if job["kind"] == "calls" else _judge_output
    report = judge(job, null, Clock())
    if job["running"]:
        _end(job, patience=0)
    values.send(job["reports"], report, JOB)


def _enclosed(folder: str) -> tuple[str, bool]:
    try:
        return enclosure.enter(folder), True
    except OSError:
        return folder, False


def _judge_calls(job: dict[str, Any], null: int, clock: Clock) -> dict[str, Any]:
    """Start the program, and run the tests here, with what they call of it being called there."""
    inbox, to_program = os.pipe()
    answers = _start(job, [null, null, null], [inbox], lambda: program.serve(INBOX, OUTBOX, job["sources"]))
    os.close(inbox)
    tests = values.receive(job["tests"], JOB)
    wire = remote.Wire(answers, to_program)
    trial = Trial(wire, lambda: wire.gone or clock.late)
    fault = ""
    try:
        clock.start(job["seconds"])
        try:
            trial.run(tests)
        finally:
            clock.stop()
    except LateError:
        fault, trial.note = _late(job)
    except remote.ProgramGoneError as error:
        fault, note = _fate(_end(job), str(error))
        trial.note = note or "it ended before its tests did"
    return {"passed": trial.passed, "fault": fault or _memory(trial.note), "note": trial.note, "broken": trial.broken}


def _judge_output(job: dict[str, Any], null: int, clock: Clock) -> dict[str, Any]:
    """Run the program once for each input, and report what it wrote; it is compared where no program can reach."""
    inputs = values.receive(job["tests"], JOB)
    outputs: list[str | None] = []
    fault = note = ""
    try:
        clock.start(job["seconds"])
        try:
            for text in inputs:
                code, output, last_words = _run_once(job, text)
                outputs.append(output if code == 0 else None)
                if code != 0 and not note:
                    fault, note = _fate(code, last_words)
        finally:
            clock.stop()
    except LateError:
        fault, note = _late(job)
    return {"outputs": outputs, "fault": fault, "note": note}


def _run_once(job: dict[str, Any], text: str) -> tuple[int, str, str]:
    """Return the exit code of the program on an input, what it wrote, and the last line that it wrote of errors."""
    files = [_in_memory(text.encode(errors="surrogatepass")), _in_memory(), _in_memory()]
    ended = _start(job, files, [], lambda: program.finish(job["sources"]))
    while os.read(ended, 1 << 16):
        pass
    code = _end(job)
    output, errors = (os.pread(file, job["output_bytes"], 0).decode(errors="replace") for file in files[1:])
    for file in [*files, ended]:
        os.close(file)
    return code, output, (errors.strip().splitlines() or [""])[-1][-program.NOTE :]


def _start(job: dict[str, Any], files: list[int], more: list[int], body: Callable[[], NoReturn]) -> int:
    """Fork a process off, put it behind walls, and let it go; its open files are `files`, its outbox, and `more`.

    Returns:
        What reads from its outbox.
    """
    here, outbox = os.pipe()
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _become(job, supervisor, [*files, outbox, *more])
        body()
    job["running"] = child
    os.close(outbox)
    told = values.receive(here)
    if not job["told"]:
        values.send(job["reports"], told)
        job["told"] = True
    if told["unavailable"]:
        sys.exit(0)
    return here


def _become(job: dict[str, Any], supervisor: int, files: list[int]) -> None:
    """Have only these files open, be confined, and say so."""
    outbox = files[OUTBOX]
    try:
        for place, file in enumerate([fcntl.fcntl(file, fcntl.F_DUPFD, 64) for file in files]):
            os.dup2(file, place)
        outbox = OUTBOX
        os.closerange(len(files), 1 << 16)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        enclosure.confine(supervisor, job["enclosed"], ceil(job["seconds"]) + 1, job["output_bytes"])
    except OSError as error:
        values.send(outbox, {"unavailable": str(error), "enclosed": job["enclosed"]})
        os._exit(1)
    values.send(outbox, {"unavailable": "", "enclosed": job["enclosed"]})


def _end(job: dict[str, Any], patience: float = REAPED) -> int:
    """Make sure that the program has ended, and return its exit code, or its signal as a negative number."""
    process, job["running"] = job["running"], 0
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _fate(code: int, note: str) -> tuple[str, str]:
    """Return the fault, and the note, of a process that ended with this code and these last words."""
    if code >= 0:
        return _memory(note), note or (f"it ended with status {code}" if code else "")
    if -code == signal.SIGXCPU:
        return "timeout", "out of CPU time"
    if -code == signal.SIGKILL:  # by `_end`
        return "crash", note or "it closed its files and went on"
    return "crash", f"killed: {signal.strsignal(-code) or -code}"


def _late(job: dict[str, Any]) -> tuple[str, str]:
    return "timeout", f"not done in {job['seconds']:g} s"


def _memory(note: str) -> str:
    return "memory" if note.startswith("MemoryError") else ""


def _in_memory(content: bytes = b"") -> int:
    """Return a file that is on no disk."""
    file = os.memfd_create("file")
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file
