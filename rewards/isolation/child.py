"""The child process: it loads one verifier, and calls it once for each line that it reads.

This file is all there is of it: it is started by its path, by any Python from 3.8 on, where neither unigrpo nor numpy
need be installed. It becomes two processes. The guard runs no code of others: it ends the worker, and all that the
worker has started, when the worker ends or the parent does. The worker reads and writes JSON lines; see `pack` for what
they carry.
"""

import sys

if __name__ == "__main__":  # A file beside this one must hide no module of the standard library.
    sys.path[:] = [folder for folder in sys.path if folder != __file__.rpartition("/")[0]]

import base64
import gc
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import select
import signal
import threading
import time
from functools import partial
from operator import attrgetter

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
"""From linux/prctl.h."""
THREADS = 16
"""Threads that calls may have left behind before the child is replaced."""


def encode(message):
    """Return a message, a dictionary of packed values, as a line."""
    return json.dumps(message).encode("ascii") + b"\n"


def decode(line, kinds=None):
    """Return the message of a line, with its values unpacked.

    Args:
        kinds: more functions, by tag, that make a value from what stands behind its tag.
    """
    kinds = {**_KINDS, **(kinds or {})}

    def restore(found):
        tag = next(iter(found)) if len(found) == 1 else None
        return kinds[tag](found[tag]) if tag in kinds else found

    return json.loads(line, object_hook=restore)


def pack(value, result=False):
    """Return a value as JSON can carry it, such that it arrives as it was: any text, bytes, tuples, numpy arrays.

    Args:
        result: whether a verifier returned it; then a `Score` may be in it, and what has a `tolist` becomes numbers.

    Raises:
        TypeError: it is, or contains, something else.
    """
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):  # Python refuses to write long integers in decimal.
        return value if abs(value) < 1 << 64 else {"__int__": hex(value)}
    if isinstance(value, str):
        return value if _is_unicode(value) else {"__str__": _base64(value.encode("utf-8", "surrogatepass"))}
    if isinstance(value, (bytes, bytearray)):
        return {"__bytes__": _base64(value)}
    if isinstance(value, list):
        return [pack(item, result) for item in value]
    if isinstance(value, tuple):
        return {"__tuple__": [pack(item, result) for item in value]}
    if isinstance(value, dict):
        if all(isinstance(key, str) and _is_unicode(key) and not key.startswith("__") for key in value):
            return {key: pack(item, result) for key, item in value.items()}
        return {"__dict__": [[pack(key, result), pack(item, result)] for key, item in value.items()]}
    if result and hasattr(value, "tolist"):
        return pack(value.tolist(), result)
    if result and set(getattr(value, "__dataclass_fields__", ())) == {"value", "parts", "note", "fault"}:
        return {"__score__": pack(dict(vars(value)), result)}
    return _pack_numpy(value)


def _pack_numpy(value):
    numpy = sys.modules.get("numpy")  # Where it is not imported, nothing of it can be here.
    if numpy and isinstance(value, numpy.ndarray) and value.dtype.kind in "biufcSUmM":
        return {"__array__": [value.dtype.str, list(value.shape), _base64(value.tobytes())]}
    if numpy and isinstance(value, numpy.generic) and not isinstance(value.item(), numpy.generic):
        return pack(value.item())
    kind = type(value)
    raise TypeError(kind.__qualname__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__)


def array(found):
    """Return the numpy array of its type, shape and bytes."""
    import numpy

    dtype, shape, data = found
    return numpy.frombuffer(bytearray(base64.b64decode(data)), dtype=dtype).reshape(shape)


def _is_unicode(text):
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # Surrogates; JSON would join two that stand side by side.
        return False
    return True


def _base64(data):
    return base64.b64encode(data).decode("ascii")


_KINDS = {
    "__int__": lambda found: int(found, 16),
    "__str__": lambda found: base64.b64decode(found).decode("utf-8", "surrogatepass"),
    "__bytes__": base64.b64decode,
    "__tuple__": tuple,
    "__dict__": dict,
    "__array__": array,
}


class Alarm(BaseException):
    """The time of a call is over."""


class Timer:
    """An alarm in the main thread that rings once during a call, and never after it."""

    def __init__(self, seconds):
        self.seconds, self.running, self.rang = seconds, False, False

    def __enter__(self):
        self.running = True
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        # First of all, as a signal that is under way is handled some instructions later.
        self.running = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def ring(self, *_):
        """Stop the call, if one is running."""
        if self.running:
            self.running, self.rang = False, True
            raise Alarm


class Surroundings:
    """What a verifier may change of its process and the next call relies on."""

    def __init__(self):
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._folder = os.open(".", os.O_RDONLY)
        self._errors = os.dup(2)
        self._recursion = sys.getrecursionlimit()
        self._streams = [_stream(1), _stream(2)]

    def restore(self):
        """Put them back: timers, signals, standard streams, the working folder, the recursion limit."""
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.fchdir(self._folder)
        sys.setrecursionlimit(self._recursion)
        # Both streams go to the parent's tail of errors, and no text is one that they cannot print.
        for index in (0, 1):
            os.dup2(self._errors, index + 1)
            if self._streams[index].closed:
                self._streams[index] = _stream(index + 1)
        sys.stdout, sys.stderr = self._streams


def _stream(descriptor):
    return open(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)


class Worker:
    """A loaded verifier, and how far it may go."""

    def __init__(self, function, file, limits):
        self.function, self.file = function, file
        self.timer = Timer(limits["seconds"])
        signal.signal(signal.SIGALRM, self.timer.ring)
        self.surroundings = Surroundings()
        self.threads, self.children = threading.active_count(), len(children())
        size = _address_space()
        self.most = size + (limits["bytes"] - size) / 2

    def answer(self, line):
        """Return the message that answers the message of a line."""
        self.surroundings.restore()
        self.timer.rang = False
        try:
            message = self._call(decode(line))
        except MemoryError:
            message = {"fault": "memory"}
        except BaseException as error:
            message = {"error": describe(error, self.file)}
        if self.timer.rang:  # Whatever the verifier made of it.
            message = {"fault": "timeout"}
        self.surroundings.restore()
        return {**message, "spent": self._is_spent("fault" in message)}

    def _call(self, arguments):
        with self.timer:
            value = self.function(**arguments)
            if inspect.iscoroutine(value):
                value = importlib.import_module("asyncio").run(value)
            try:
                return {"value": pack(value, result=True)}
            except TypeError as error:
                raise TypeError(f"it returned a {error}, which is no number, text or record") from None

    def _is_spent(self, stopped):
        """Whether the next call may suffer from what others, or one that was stopped, have left behind."""
        threads = threading.active_count() - self.threads
        if threads > THREADS or (stopped and (threads > 0 or len(children()) > self.children)):
            return True
        if _address_space() <= self.most:
            return False
        gc.collect()
        return _address_space() > self.most


def describe(error, file):
    """Return an exception as `TypeName: message (file:line)`, the deepest line of a file if it is in that."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    places = [place for place in places if place[0] != __file__]
    places = [place for place in places if place[0] == file] or places
    try:
        text = " ".join(str(error).split())[:500]
    except Exception:
        text = "(it cannot be printed)"
    where = " ({}:{})".format(*places[-1]) if places else ""
    return type(error).__name__ + (": " + text if text else "") + where


def load(target, args):
    """Return what `package.module:name` or `/file.py:name` means, ready to be called, its file, and a description."""
    where, _, attribute = target.rpartition(":")
    module = _load_file(where) if where.endswith(".py") else importlib.import_module(where)
    try:
        found = attrgetter(attribute)(module)
    except AttributeError:
        raise ImportError(f"{where} has no function or class `{attribute}`") from None
    is_class = inspect.isclass(found)
    function = found(**args) if is_class else found
    about = {"makes_object": is_class, "parameters": _parameters(function)}
    return function if is_class else partial(found, **args), getattr(module, "__file__", None), about


def _parameters(function):
    """The name and kind of each parameter, and whether it has no default; None for what does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    return [[each.name, each.kind.name, each.default is each.empty] for each in found]


def _load_file(path):
    # A private name, so that a file called math.py hides no other module.
    name = "_unigrpo_reward_" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(os.path.dirname(path))  # at the end: what it imports from beside it hides nothing
    spec.loader.exec_module(module)
    return module


def _address_space():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _limit(most):
    """Bound the address space, where the system can, and write no core files."""
    import resource

    try:  # A machine out of memory should end this process rather than the training.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:  # not Linux
        pass

    for kind, size in ((resource.RLIMIT_AS, most), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        try:
            resource.setrlimit(kind, (size, size))
        except (ValueError, OSError):  # not on macOS
            continue


def work(request, reply):
    """Load what the first line asks for, then answer line after line until there are no more."""
    pid, requests = os.getpid(), os.fdopen(request, "rb")
    setup = decode(requests.readline())
    importlib.import_module("faulthandler").enable()
    sys.argv[1:] = []
    if setup["path"] is not None:
        sys.path[:] = setup["path"]
    _limit(setup["limits"]["bytes"])
    try:
        os.dup2(2, 1)
        function, file, about = load(setup["target"], setup["args"])
        worker = Worker(function, file, setup["limits"])
    except BaseException as error:
        file = setup["target"].rpartition(":")[0]
        return _write(reply, encode({"failed": describe(error, file)}))
    gc.collect()
    gc.freeze()
    _write(reply, encode({"ready": {**about, "worker": pid}}))
    for line in requests:
        line = encode(worker.answer(line))
        if os.getpid() != pid:  # a fork that the verifier let escape
            return None
        _write(reply, line)
    return None


def _write(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]


def guard(worker):
    """Wait for the end of the worker, or for a word from the parent or its end; then end all that is left."""
    inside, outside = os.pipe()
    os.set_blocking(outside, False)
    signal.set_wakeup_fd(outside, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    status = _reap(worker)
    while status is None:
        ready, _, _ = select.select([0, inside], [], [])
        if 0 in ready or signal.SIGTERM in os.read(inside, 4096):
            break
        status = _reap(worker)
    return _end(worker, status)


def _end(worker, status):
    """Kill the worker's group, then whoever remains of its descendants, which are orphans and so the guard's."""
    deadline = time.monotonic() + 1.5
    _kill(os.killpg, worker)
    while (status is None or children()) and time.monotonic() < deadline:
        for orphan in children():
            _kill(os.kill, orphan)
        time.sleep(0.001)
        found = _reap(worker)
        status = found if status is None else status
    return status


def _reap(worker):
    """Bury the dead; return how the worker ended as a shell does, 128 and the signal, or None."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == worker:
            found = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _kill(kill, target):
    try:
        kill(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone, or on macOS a zombie
        return


def children():
    """Return the ids of the processes whose parent this process' main thread is, where Linux tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _prctl(option, value):
    """Ask something of Linux; other systems have no such thing."""
    if sys.platform == "linux":
        try:
            import ctypes

            ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)
        except (ImportError, OSError, AttributeError):  # a Python without ctypes, or a C library without prctl
            return


def main():
    """Become the guard and the worker. Standard input ends with the parent; nothing is written to it."""
    request, reply = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(request, False)
    os.set_inheritable(reply, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # A parent's mask is inherited.
    own = os.getpid()
    worker = os.fork()
    if worker:
        os.close(request)
        os.close(reply)
        os._exit(guard(worker) or 0)
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    if os.getppid() == own:
        work(request, reply)
    # Threads that a verifier left behind would keep an orderly end waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
