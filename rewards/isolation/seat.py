"""A thread that serves one child process."""

import threading
from typing import Any

from rewards.isolation.jobs import Job, Jobs
from rewards.isolation.outcome import Outcome
from rewards.isolation.process import Child, DiedError, KilledError
from rewards.isolation.setup import Setup, packed

LOADS = 3
"""Children in a row that may be killed while they load, before the verifier counts as one that cannot be loaded."""


class Seat:
    """One thread and its child, which starts when there is a job for it and is replaced when it is gone."""

    def __init__(self, setup: Setup, jobs: Jobs, name: str) -> None:
        self.lost = 0
        """Children that ended or were killed or replaced."""
        self._setup, self._jobs = setup, jobs
        self._child: Child | None = None
        # A daemon, as a program waits for all others before it ends, and this one waits for jobs until then.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End the child; once the jobs are closed, the thread ends with it."""
        if (child := self._child) is not None:
            child.kill()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def abandon(self) -> None:
        """Close a fork's copies of the pipes, so that the child sees the end of the fork's parent."""
        if self._child is not None:
            self._child.abandon()

    def _serve(self) -> None:
        while self._child is not None or self._jobs.wait():
            try:
                self._ready()
            except Exception as error:
                self._jobs.fail(self._jobs.closed or error)
                continue
            if (job := self._jobs.take()) is None:
                break
            self._answer(job)
        self._lose()

    def _answer(self, job: Job) -> None:
        try:
            if job.arguments is None:
                result = Outcome(value=self._ready().about)
            else:
                result = self._ask(packed(job.arguments, f"{self._setup.name}, call {job.index}: the argument"))
        except Exception as error:
            result = self._jobs.closed or error
        self._jobs.finish(able=self._child is not None)
        if isinstance(result, Outcome):
            job.batch.set(job.index, result)
        else:
            job.batch.fail(result)

    def _ask(self, arguments: dict[str, Any]) -> Outcome:
        try:
            return self._try(arguments)
        except DiedError:
            # Whatever ended the child need not have been this call, so it is asked again, where nothing came before it.
            try:
                return self._try(arguments)
            except DiedError as death:
                return Outcome(fault="crash", note=str(death))

    def _try(self, arguments: dict[str, Any]) -> Outcome:
        limits = self._setup.limits
        try:
            answer = self._ready().ask(arguments)
        except TimeoutError:
            self._lose()
            return Outcome(fault="timeout", note=f"killed after {limits.hard:g} s")
        except Exception:
            self._lose()
            raise
        if answer.pop("spent"):
            self._lose()
        notes = {"timeout": f"stopped after {limits.seconds:g} s", "memory": f"needs over {limits.memory_gb:g} GB"}
        return Outcome(**answer, note=notes.get(answer.get("fault", ""), ""))

    def _ready(self) -> Child:
        """Return the child, or a new one if it is gone."""
        if self._child is not None and self._child.is_alive():
            return self._child
        self._lose()
        for _ in range(LOADS - 1):
            try:
                return self._start()
            except KilledError:
                if self._jobs.closed is not None:
                    raise
                self.lost += 1
        return self._start()

    def _start(self) -> Child:
        """Return a new child."""
        self._child = child = Child(self._setup)
        # `close` first closes the jobs, then looks for children: whichever comes first, this one ends.
        if self._jobs.closed is not None:
            child.kill()
        try:
            child.load()
        except BaseException:
            child.end()
            self._child = None
            raise
        return child

    def _lose(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None
            self.lost += 1
