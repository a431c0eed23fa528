"""vLLM's offline engine as the teacher: a child process, of this Python or of another environment's."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unigrpo.config import TeacherSection
from unigrpo.curation.requests import Request
from unigrpo.curation.said import Said
from unigrpo.curation.teacher import Heard, TeacherError
from unigrpo.errors import ConfigError, MissingExtraError
from unigrpo.progress import console

WORKER = Path(__file__).parent / "engine" / "worker.py"
OUTPUT = "teacher.log"
GRACE = 20.0
"""Seconds that the engine gets to end by itself."""


class Offline:
    """A model that vLLM loads; it is asked `max_concurrency` requests at a time."""

    def __init__(self, section: TeacherSection, folder: Path) -> None:
        """Find the interpreter; nothing is loaded yet.

        Raises:
            ConfigError: there is no such interpreter.
            MissingExtraError: none is named, and this one has no vLLM.
        """
        self.section, self.output = section, folder / OUTPUT
        if section.python is None and importlib.util.find_spec("vllm") is None:
            raise MissingExtraError(
                "teacher.base_url is not set, and vLLM is not installed here: name a server, or an interpreter that "
                "has vLLM with teacher.python=ENV/bin/python, or install unigrpo[vllm]."
            )
        found = shutil.which(section.python or sys.executable)
        if found is None:
            raise ConfigError(f"teacher.python is {section.python!r}, which is no program: name a Python interpreter.")
        self.python = found

    def ask(self, requests: Sequence[Request], heard: Heard) -> dict[str, int]:
        """Load the model, ask all requests, a part at a time; see `Teacher`."""
        said = f"Loading {self.section.model} in vLLM; what it prints is in {self.output}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
        with self.output.open("ab") as log:
            # A group of its own, since vLLM starts processes that are to end with it.
            child = subprocess.Popen(
                [self.python, str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                start_new_session=True,
            )
        try:
            self._write(child, {"model": self.section.model, "engine": self.section.engine})
            self._read(child)
            self._ask(child, requests, heard)
        finally:
            _end(child)
        return {}

    def _ask(self, child: subprocess.Popen[str], requests: Sequence[Request], heard: Heard) -> None:
        size = self.section.max_concurrency
        for part in [requests[:1], *(requests[at : at + size] for at in range(1, len(requests), size))]:
            self._write(child, [_plain(request) for request in part])
            for request in part:
                heard(request, Said(**self._read(child)))

    def _write(self, child: subprocess.Popen[str], value: Any) -> None:
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(value) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            raise self._ended("it ended") from None

    def _read(self, child: subprocess.Popen[str]) -> dict[str, Any]:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line.endswith("\n"):
            raise self._ended("it ended")
        found = json.loads(line)
        if "fatal" in found:
            raise self._ended(found["fatal"])
        return found

    def _ended(self, why: str) -> TeacherError:
        return TeacherError(
            f"vLLM cannot go on: {why.rstrip('.')}. See {self.output}. Correct teacher.engine, teacher.extra_body, "
            "or what it names; the same command then goes on from what was answered."
        )


def _plain(request: Request) -> dict[str, Any]:
    """A request for the engine: what belongs to the chat template apart from what belongs to sampling."""
    sampling = {name: value for name, value in request.fields.items() if name != "model"}
    template = sampling.pop("chat_template_kwargs", None)
    chat = {"chat_template_kwargs": template} if template else {}
    return {"messages": request.messages(), "sampling": sampling, "chat": chat}


def _end(child: subprocess.Popen[str]) -> None:
    """End the engine and all that it started; without more requests it goes by itself."""
    assert child.stdin is not None
    try:
        with suppress(OSError, subprocess.TimeoutExpired):
            child.stdin.close()
            child.wait(GRACE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
