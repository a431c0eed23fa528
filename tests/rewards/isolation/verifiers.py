"""What the children of these tests run. It imports nothing but the standard library, so that it runs anywhere."""

import asyncio
import ctypes
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

kept = []


def echo(value):
    return value


def where(**seen):
    """The process, and what it has been started with."""
    return {"pid": os.getpid(), "prefix": sys.prefix, "version": list(sys.version_info[:2]), **seen}


def variable(name):
    return os.environ.get(name)


def add(left, right=1, *, scale=1):
    return (left + right) * scale


async def add_later(left, right):
    await asyncio.sleep(0.01)
    return left + right


class Adder:
    def __init__(self, start):
        self.start, self.made_in = start, os.getpid()

    def __call__(self, value):
        assert self.made_in == os.getpid()
        return self.start + value


@dataclass
class Score:
    """A record of the same fields as ours, made where ours cannot be imported."""

    value: float
    parts: dict = field(default_factory=dict)
    note: str = ""
    fault: str = ""


def scored(value):
    return [Score(value, {"half": value / 2}, "so it is")]


def divide(value):
    return 1 / value


def unprintable():
    class BadError(Exception):
        def __str__(self):
            raise ValueError

    raise BadError


def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()


def meet(folder, count, name="", then=""):
    """Leave a name, or this process's number, in a folder, wait until so many are there, and do what is left to do."""
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, name or str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < count:
        time.sleep(0.01)
    return attack(then, os.getpid())


def attack(how, value=0):
    """Do what a verifier should not; return the value."""
    if how:
        getattr(sys.modules[__name__], how)()
    return value


def loop():
    while True:
        pass


def loop_in_c():
    """No signal handler runs before it ends."""
    all(itertools.repeat(True))


def power_tower():
    return 9**9**9


def backtracking():
    re.fullmatch(r"(a|a)*b", "a" * 40)


def swallow_the_alarm():
    while True:
        with suppress(BaseException):
            loop()


def shrug_at_the_alarm():
    try:
        loop()
    except BaseException:
        return


def rename_the_alarm():
    try:
        loop()
    except BaseException:
        raise ValueError("slow") from None


def cancel_the_alarm():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])


def set_an_alarm():
    def ring(*_):
        raise RuntimeError("an alarm of another call")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def allocate():
    bytearray(10**11)


def grow_a_list():
    found = []
    while True:
        found.append("x" * 10**6 + str(len(found)))


def leak():
    kept.append(bytearray(4 * 10**8))


def recurse():
    recurse()


def return_itself():
    found = []
    found.append(found)
    return found


def return_a_set():
    return {1}


def raise_the_recursion_limit():
    sys.setrecursionlimit(10**6)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_the_guard():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)


def stop_the_guard():
    os.kill(os.getppid(), signal.SIGSTOP)
    loop_in_c()


def segfault():
    ctypes.string_at(0)


def leave():
    sys.exit(3)


def leave_at_once():
    print("a last word", file=sys.stderr, flush=True)
    os._exit(3)


def print_a_flood():
    for _ in range(20000):
        print("flood " * 20)
        print("flood " * 20, file=sys.stderr)


def write_a_flood():
    for _ in range(2000):
        os.write(1, b'{"value": 1}\n' * 100)


def print_surrogates():
    print("\ud800 \x00 \x1b[31m")


def write_json_everywhere():
    write_everywhere(b'{"value": 1}\n')


def write_everywhere(data=b"nonsense\n"):
    # The last ones are as high as the parent had files open.
    for descriptor in range(3, 4096):
        with suppress(OSError):
            os.write(descriptor, data)
    time.sleep(0.5)


def close_the_streams():
    sys.stdout.close()
    sys.stderr.close()
    os.closerange(0, 3)


def close_everything():
    os.closerange(0, 4096)


def change_the_folder():
    os.chdir("/")


def leave_threads():
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(30,)).start()


def fork_and_return():
    if os.fork() == 0:
        raise SystemExit


def folder():
    return os.getcwd()


def start_a_sleeper(file, then=""):
    """Start a process in a session of its own, which is nobody's child, and write down its id."""
    command = f"sleep 300 & echo $! > {file}"
    subprocess.run(["setsid", "sh", "-c", command], check=True, close_fds=False)
    return attack(then)


def die_once(file):
    """End at the first call, and at no later one."""
    if not os.path.exists(file):
        open(file, "w").close()
        kill_itself()
    return "alive"


def write_pid_and_wait(file, seconds, then=""):
    with open(file, "w") as opened:
        opened.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return attack(then, os.getpid())
