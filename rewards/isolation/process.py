"""The parent's side of one child process."""

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Any

from rewards.isolation import child
from rewards.isolation.setup import Setup
from rewards.score import Score
from unigrpo.errors import RewardError

START = 60.0
"""Seconds in which a child must have loaded its verifier."""
ANSWER = 1 << 26
"""Bytes of an answer that the parent is willing to hold."""
TAIL = 2000
"""Bytes that are kept of what a child prints: the last ones."""
KILLED = 128 + signal.SIGKILL
"""The exit status of a child that somebody has killed, such as a system that is out of memory."""
_ANSWERS = [("value", "spent"), ("fault", "spent"), ("error", "spent")]
_MESSAGES = {frozenset(keys) for keys in (["ready"], ["failed"], *_ANSWERS)}
_SIGNS = "MemoryError", "failed to map segment", "Cannot allocate memory"
"""How libraries put it that address space ran out."""


class DiedError(Exception):
    """A child ended without being told to; the message says how, and its last words."""


class KilledError(RewardError):
    """A child that was loading its verifier was killed, which by itself says nothing about the verifier."""


class Child:
    """One child process. It is made, loaded, asked and ended by one and the same thread, which outlives it.

    The thread matters: on Linux a child is told when the thread that started it ends.
    """

    def __init__(self, setup: Setup) -> None:
        """Start the process.

        Raises:
            RewardError: it cannot be started.
        """
        self._setup = setup
        self._message = setup.message()
        self._process, self._request, self._reply = _start(setup)
        assert self._process.stderr is not None
        self._errors = self._process.stderr.fileno()
        self._poll = select.poll()
        self._poll.register(self._reply, select.POLLIN)
        self._poll.register(self._errors, select.POLLIN)
        self._tail = b""
        self.about: dict[str, Any] = {}
        """Of a loaded verifier: `makes_object`, `parameters`, and `worker`, the process that runs it."""
        self.is_over = False

    def load(self) -> None:
        """Wait until the verifier is loaded.

        Raises:
            KilledError: somebody has killed the child.
            RewardError: it cannot be loaded, or not in time.
        """
        error = RewardError
        try:
            answer = self._exchange(self._message, START)
        except DiedError as death:
            error = KilledError if self._status() == KILLED else RewardError
            problem = f"ended before it had loaded {self._setup.target}: {death}"
        except TimeoutError:
            problem = f"has not loaded {self._setup.target} in {START:g} s. {self._last_words()}".rstrip()
        else:
            self.about = answer.get("ready", {})
            problem = f"could not load {self._setup.target}: {answer['failed']}" if "failed" in answer else ""
            if any(sign in problem for sign in _SIGNS):
                problem += f" It may take {self._setup.limits.memory_gb:g} GB: raise the limit."
        if problem:
            raise error(f"{self._setup.name}: the child process of {self._setup.command()[0]} {problem}")

    def ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the child's answer to one call: `value`, `fault` or `error`, and `spent`: whether to replace it.

        Raises:
            TimeoutError: it did not answer within the hard limit, and must be ended.
            DiedError: it has ended by itself.
        """
        return self._exchange(child.encode(arguments), self._setup.limits.hard)

    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return not self.is_over and self._process.poll() is None

    def kill(self) -> None:
        """Tell the guard to end it, from any thread; who is waiting for an answer then sees it die."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def end(self) -> None:
        """Kill and bury it, with all that the verifier started."""
        if self.is_over:
            return
        self.is_over = True
        self.kill()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:  # The verifier stopped the guard.
            self._process.kill()
            self._process.wait()
        self._kill_group()
        self._close()

    def abandon(self) -> None:
        """Close the pipes but leave the child alone, in a fork of the process whose child it is."""
        if not self.is_over:
            self._close()

    def _close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        self._process.stderr.close()
        os.close(self._request)
        os.close(self._reply)

    def _kill_group(self) -> None:
        """For the case that the guard was killed: then its worker dies by itself, but not what that started."""
        if self.about and self._process.returncode == -signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.about["worker"], signal.SIGKILL)

    def _exchange(self, line: bytes, seconds: float) -> dict[str, Any]:
        """Send a line and return the message that comes back."""
        deadline = time.monotonic() + seconds
        unsent, received = memoryview(line), bytearray()
        while not received.endswith(b"\n"):
            unsent = self._send(unsent)
            remaining = deadline - time.monotonic()
            # Not longer than this: a process of the verifier's own that escaped may hold the pipes of a dead child.
            ready = dict(self._poll.poll(max(0, min(remaining, 0.2)) * 1000))
            if self._errors in ready:
                self._listen()
            if self._reply in ready:
                received += self._receive(len(received))
            elif remaining <= 0:
                raise TimeoutError
            elif self._process.poll() is not None:
                raise DiedError(self._death())
        return _message(bytes(received))

    def _send(self, unsent: memoryview) -> memoryview:
        """Write what the pipe takes, and watch it while there is more."""
        try:
            while unsent:
                unsent = unsent[os.write(self._request, unsent) :]
        except BlockingIOError:
            self._poll.register(self._request, select.POLLOUT)
            return unsent
        except BrokenPipeError:
            raise DiedError(self._death()) from None
        with contextlib.suppress(KeyError):
            self._poll.unregister(self._request)
        return unsent

    def _receive(self, so_far: int) -> bytes:
        chunk = os.read(self._reply, 1 << 20)
        if not chunk:
            raise DiedError(self._death())
        if so_far + len(chunk) > ANSWER:
            raise DiedError(f"it returned more than {ANSWER >> 20} MiB")
        return chunk

    def _listen(self) -> None:
        """Keep the end of what it printed."""
        chunk = os.read(self._errors, 1 << 16)
        self._tail = (self._tail + chunk)[-TAIL:]
        if not chunk:
            self._poll.unregister(self._errors)

    def _death(self) -> str:
        """How it ended."""
        if (code := self._status()) is None:
            return "it closed its connection"
        try:
            how = f"it was ended by {signal.Signals(code - 128).name}"
        except ValueError:
            how = f"it exited with status {code}"
        return f"{how}. {self._last_words()}".rstrip()

    def _status(self) -> int | None:
        """Its exit status as a shell gives it, 128 and the signal that ended it; None if it has not ended."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def _last_words(self) -> str:
        os.set_blocking(self._errors, False)
        with contextlib.suppress(BlockingIOError, KeyError):
            while self._errors in dict(self._poll.poll(0)):
                self._listen()
        words = " ".join(self._tail.decode("utf-8", "replace").split())
        # What faulthandler says begins with the reason and ends with the frames of `child.py`.
        fatal = words.rfind("Fatal Python error")
        words = words[-300:] if fatal < 0 else words[fatal : fatal + 300]
        return f"Its last words: {words}" if words else ""


def _start(setup: Setup) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start a child, and return it with the ends of its pipes: where requests go, and where answers come from."""
    command, ends = setup.command(), []
    try:
        ends += os.pipe() + os.pipe()
        os.set_blocking(ends[1], False)
        process = subprocess.Popen(
            [*command, str(ends[0]), str(ends[3])],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(ends[0], ends[3]),
            start_new_session=True,
            env=setup.environment(),
        )
    except OSError as error:
        for end in ends:
            os.close(end)
        raise RewardError(f"{setup.name}: {command[0]} could not be started: {error}.") from error
    os.close(ends[0])
    os.close(ends[3])
    return process, ends[1], ends[2]


def _message(line: bytes) -> dict[str, Any]:
    """Return what a child wrote, unless the verifier wrote into the pipe as well."""
    try:
        found = child.decode(line, {"__score__": _score, "__array__": _numbers})
    except (ValueError, TypeError):
        found = {}
    if not isinstance(found, dict) or frozenset(found) not in _MESSAGES:
        raise DiedError("what it wrote is no answer.")
    return found


def _score(fields: dict[str, Any]) -> Score:
    return Score(**fields)


def _numbers(found: list[Any]) -> Any:
    return child.array(found).tolist()
