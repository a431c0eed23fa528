import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rewards.sandbox import Calls, Limits, Output, run, values
from unigrpo.errors import DataError

SQUARE = Calls(tests=("assert square(3) == 9", "assert square(12) == 144"))
DOUBLE = Output(inputs=("2\n", "21\n"), outputs=("4\n", "42\n"))
LIMITS = Limits(seconds=30.0, memory_bytes=512 << 20)
SHORT = Limits(seconds=0.7, memory_bytes=512 << 20)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """After every test no process of a sandbox runs, and no file of one is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    wait_for(lambda: processes_of(os.getpid()) == [])
    assert list(tmp_path.glob("unigrpo-program-*")) == []


def processes_of(trainer: int) -> list[int]:
    """Supervisors that a process started, and their programs, which have the same command line."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_text().split("\0")
            if any(word.endswith("sandbox/main.py") for word in words) and str(trainer) in words:
                found.append(int(file.parent.name))
    return found


def judged(source, tests=SQUARE, limits=LIMITS):
    return run((source,), tests, limits)


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_right_program_passes_and_a_wrong_one_fails_where_it_is_wrong(namespaces):
    limits = Limits(namespaces=namespaces)
    assert judged("def square(x): return x * x", limits=limits).passed == (True, True)
    assert judged("def square(x): return x + 6", limits=limits).passed == (True, False)
    assert judged("print(2 * int(input()))", DOUBLE, limits).passed == (True, True)
    wrong = judged("print(4)", DOUBLE, limits)
    assert (wrong.passed, wrong.note) == ((True, False), "wrong output for input 2 of 2")


FORGERIES = {
    "exit": "import sys; sys.exit(0)",
    "exit in the function": "def square(x): raise SystemExit(0)",
    "end at once": "import os; os._exit(0)",
    "end in the function": "import os\ndef square(x): os._exit(0)",
    "equal to everything": "class All:\n  def __eq__(self, o): return True\ndef square(x): return All()",
    "a number equal to all": "class All(int):\n  def __eq__(self, o): return True\ndef square(x): return All(1)",
    "always true": "class Y:\n  def __bool__(self): return True\n  __eq__ = lambda s, o: s\ndef square(x): return Y()",
    "print passed": "print('passed', True, [True, True], flush=True)\ndef square(x): return 'passed'",
    "patch builtins": "import builtins\nbuiltins.AssertionError = builtins.Exception = int\ndef square(x): return 1",
    "patch json": "import json\njson.dumps = lambda *a, **k: '{\"passed\": [true, true]}'\ndef square(x): return 1",
    "patch the harness": (
        "import sys\nfor n, m in list(sys.modules.items()):\n"
        "  if n.startswith('sandbox'): vars(m).update(encode=lambda *a: True, run=print)\ndef square(x): return 1"
    ),
    "atexit": "import atexit, os\natexit.register(os._exit, 0)",
    "a thread": "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(.1), os._exit(0))).start()",
    "answers beforehand": (
        "import os, json\nfor v in [True, None, {'passed': [True, True]}] * 9:\n"
        "  b = json.dumps({'value': v, 'passed': [True, True]}).encode(); os.write(3, len(b).to_bytes(4, 'big') + b)"
    ),
    "a report to every file": (
        "import os\nb = b'{\"passed\": [true, true], \"fault\": \"\", \"note\": \"\", \"broken\": \"\"}'\n"
        "for f in range(64):\n  try: os.write(f, len(b).to_bytes(4, 'big') + b)\n  except OSError: pass"
    ),
    "the tests in memory": (
        "import gc, re, sys\ndef square(x):\n  f = sys._getframe(); seen = []\n"
        "  while f: seen.append({**f.f_globals, **f.f_locals}); f = f.f_back\n"
        "  text = repr(seen + [o for o in gc.get_objects() if isinstance(o, (dict, list))][:5000])\n"
        "  found = re.search(rf'square\\({x}\\) == ([0-9]+)', text.replace(repr('square'), ''))\n"
        "  return int(found[1]) if found else None"
    ),
    "the tests in open files": (
        "import os, re\ntext = b''\nfor f in range(64):\n  if f != 4:\n    try: text += os.read(f, 10 ** 6)\n"
        "    except OSError: pass\ndef square(x): return int(re.search(rf'{x}. == ([0-9]+)', text.decode())[1])"
    ),
    "the tests of the supervisor": (
        "import os, re\np = os.getppid()\ntext = b''\n"
        "for name in (f'/proc/{p}/fd/0', f'/proc/{p}/fd/5', f'/proc/{p}/mem', '/proc/self/mem'):\n"
        "  try: text += os.read(os.open(name, os.O_RDONLY), 10 ** 6)\n  except OSError: pass\n"
        "def square(x): return int(re.search(rf'{x}. == ([0-9]+)', text.decode())[1])"
    ),
    "trace the supervisor": "import ctypes, os\nassert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
    "end the loop of the tests": "def square(x): raise StopIteration",
}  # fmt: skip


@pytest.mark.parametrize("source", FORGERIES.values(), ids=FORGERIES)
def test_no_forgery_passes(source):
    loop = "assert all(map(lambda p: square(p[0]) == p[1], [(3, 9), (12, 144)]))"
    caught = "try: found = square(3)\nexcept Exception: found = None\nassert found == 9"
    verdict = judged(source, Calls(tests=(*SQUARE.tests, loop, caught, "assert square(3)\nassert square(3) != 1")))
    assert not any(verdict.passed[:4])
    assert not all(verdict.passed)


def test_a_test_that_catches_everything_does_not_hide_that_the_program_is_gone():
    tests = Calls(tests=("try: square(-1)\nexcept BaseException: pass", "try: square(-1)\nexcept BaseException: pass"))
    assert judged("import os\ndef square(x): os._exit(0)", tests).passed == (False, False)
    assert judged("def square(x): raise ValueError", tests).passed == (True, True)
    forever = Calls(tests=("while True:\n try:\n  square(3)\n except BaseException: pass",))
    verdict = judged("def square(x): return 1", forever, SHORT)
    assert (verdict.passed, verdict.fault) == ((False,), "timeout")


def test_names_of_the_library_and_of_helpers_are_not_the_programs():
    tests = Calls(
        tests=("assert math.isclose(root(4), 2)", "assert sorted(root(9)) == [3] if 0 else abs(check(root(9))) < 1e-9"),
        helpers="def root(x):\n    pass\ndef check(y): return y * y - 9",
        entry_point="root",
    )
    forged = "class math:\n  isclose = lambda *a: True\nabs = check = lambda x: 0\nsorted = lambda x: [3]\n"
    assert judged(f"{forged}def root(x): return 1.0", tests).passed == (False, False)
    assert judged("def root(x): return x ** 0.5", tests).passed == (True, True)


HOSTILE = {
    "loop": ("while True: pass", "timeout"),
    "loop in the function": ("def square(x):\n  while True: pass", "timeout"),
    "sleep": ("import time; time.sleep(1000)", "timeout"),
    "ignore signals": (
        "import signal\nfor s in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(s, signal.SIG_IGN)\nwhile 1: 1",
        "timeout",
    ),
    "print for ever": ("while True: print('x' * 10000)", "timeout"),
    "a long number": ("9 ** 9 ** 9", "timeout"),
    "memory": ("x = [0] * 10 ** 10", "memory"),
    "memory bit by bit": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory"),
    "stack": ("import sys\nsys.setrecursionlimit(10 ** 9)\nx = []\nfor i in range(10 ** 6): x = [x]\nrepr(x)", "crash"),
    "recursion": ("def f(): f()\nf()", ""),
    "segfault": ("import ctypes; ctypes.string_at(0)", "crash"),
    "deep value": ("def square(x):\n  y = []\n  for _ in range(10 ** 5): y = [y]\n  return y", ""),
    "endless value": ("def square(x):\n  y = []; y.append(y)\n  return y", ""),
    "huge value": ("def square(x): return 'x' * 10 ** 7", ""),
    "huge frame": ("import os\nos.write(3, b'\\xff' * 100)", "crash"),
    "deep frame": ("import os\nb = b'[' * 10 ** 5\nos.write(3, len(b).to_bytes(4, 'big') + b)", "crash"),
    "odd frame": ("import os\nb = b'{\"value\": {\"set\": [[1]]}}'\nos.write(3, b'\\0\\0\\0\\x19' + b)", "crash"),
    "all files closed": ("import os, time\nos.closerange(0, 64)\ntime.sleep(1000)", "crash"),
    "threads": ("import threading, time\nwhile 1: threading.Thread(target=time.sleep, args=(999,)).start()", ""),
    "forks": ("import os\nwhile True: os.fork()", ""),
    "a raw fork": ("import ctypes\nassert ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0) >= 0", ""),
    "a process": ("import subprocess; subprocess.Popen(['/usr/bin/sleep', '1000'])", ""),
    "a daemon": ("import os, time\nif not os.fork():\n  os.setsid()\n  os.fork() or time.sleep(1000)", ""),
    "another program": ("import os; os.execv('/usr/bin/sleep', ['sleep', '1000'])", ""),
    "outlive": ("import ctypes\nassert ctypes.CDLL(None).prctl(1, 0) == 0", ""),
    "kill its parent": ("import os\nos.kill(os.getppid(), 9)", ""),
    "kill all": ("import os\nos.kill(-1, 9)", ""),
    "starve its parent": ("import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))", ""),
    "a socket": ("import socket; socket.socket()", ""),
    "the network": ("import urllib.request; urllib.request.urlopen('http://127.0.0.1:80')", ""),
    "files": ("i = 0\nwhile True:\n  i += 1\n  open(str(i), 'wb').write(b'x' * 10 ** 6)", ""),
    "a file": ("f = open('x', 'wb')\nwhile True: f.write(b'x' * 10 ** 6)", ""),
    "folders": ("import os\nwhile True: os.mkdir('d'); os.chdir('d')", ""),
    "rights": ("import os; os.chmod(os.__file__, 0)", ""),
    "an emptied file": ("import os; os.truncate(os.__file__, 0)", ""),
    "nul": ("x = 1\0", ""),
    "surrogates": ("x = '\ud800'", ""),
    "no python": ("def square(x) return", ""),
    "parentheses": ("(" * 100_000, ""),
    "minus signs": ("x = " + "-" * 100_000 + "1", "memory"),
    "an error that fails": ("class E(Exception):\n  def __str__(self): 1 / 0\nraise E", ""),
    "an endless error": ("raise ValueError('x' * 10 ** 8)", ""),
}  # fmt: skip


@pytest.mark.parametrize("namespaces", [True, False])
@pytest.mark.parametrize(("source", "fault"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_earns_nothing_is_bounded_and_leaves_nothing(source, fault, namespaces):
    start = time.monotonic()
    limits = SHORT if fault == "timeout" else LIMITS
    verdict = judged(source, limits=Limits(limits.seconds, limits.memory_bytes, namespaces=namespaces))
    assert (verdict.passed, verdict.fault) == ((False, False), fault)
    assert verdict.note
    assert len(verdict.note) < 500
    assert time.monotonic() - start < limits.seconds + 60


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("while True: print('x' * 10 ** 5)", ""),
        ("import sys\nsys.stdout.write('4' * 10 ** 8)", ""),
        ("import sys\nsys.stdout.buffer.write(bytes(range(256)))", ""),
        ("import os\nos.write(1, b'x')\nos.write(2, b'x' * 10 ** 7)", ""),
        ("import time\nprint(2 * int(input()), flush=True)\ntime.sleep(1000)", "timeout"),
        ("import os\nprint(2 * int(input()), flush=True)\nos._exit(3)", ""),
        ("import threading, time\nprint(2 * int(input()))\nthreading.Timer(99, print).start()", "timeout"),
        ("import os\nwhile True: os.write(3, b'x' * 65536)", "timeout"),
        ("import os, time\nprint(2 * int(input()), flush=True)\nos.closerange(0, 64)\ntime.sleep(1000)", "crash"),
        ("print(input() + input())", ""),
    ],
)  # fmt: skip
def test_output_is_bounded_and_counts_only_if_the_program_ends_well(source, fault):
    verdict = judged(source, DOUBLE, SHORT if fault == "timeout" else LIMITS)
    assert (any(verdict.passed), verdict.fault) == (False, fault)


def test_a_program_may_read_and_write_as_programs_do():
    assert all(judged("import sys\nsys.stdout.write(str(2 * int(sys.stdin.read())))\nexit()", DOUBLE).passed)
    thread = (
        "import threading\nthreading.stack_size(1 << 26)\nt = threading.Thread(target=lambda: print(2 * int(input())))"
    )
    assert all(judged(f"{thread}\nt.start()", DOUBLE).passed)
    assert all(judged("if __name__ == '__main__': print(2 * int(open(0).readline()), ' ')\nprint()", DOUBLE).passed)


def test_a_program_sees_neither_the_environment_nor_the_files_of_its_user(monkeypatch, tmp_path):
    monkeypatch.setenv("SOME_API_KEY", "hunter2")
    (tmp_path / "tests.jsonl").write_text("gold")
    look = f"import os\nprint('hunter2' in str(os.environ), os.environ['HOME'] == os.getcwd())\nopen({str(tmp_path)!r})"
    for namespaces in (True, False):
        verdict = judged(look.replace("\nopen(", "\nos.listdir("), DOUBLE, Limits(namespaces=namespaces))
        assert "tests.jsonl" not in verdict.note
        assert verdict.note.startswith(("FileNotFoundError", "PermissionError"))
        seen = Output(inputs=("",), outputs=("False True",))
        assert all(judged(look.rpartition("\n")[0], seen, Limits(namespaces=namespaces)).passed)
        write = judged(f"open({str(tmp_path / 'new')!r}, 'w')", DOUBLE, Limits(namespaces=namespaces))
        assert write.note.startswith(("FileNotFoundError", "PermissionError"))
    assert not (tmp_path / "new").exists()


def test_objects_of_the_program_stay_there_and_can_be_used_from_outside():
    source = (
        "class Pair:\n  def __init__(self, a, b): self.a, self.b = a, b\n  def sum(self): return self.a + self.b\n"
        "def total(pairs): return sum(p.sum() for p in pairs)\ndef count(n): yield from range(n)\n"
        "def bad(): raise KeyError('no')\nclass Own(Exception): pass\ndef worse(): raise Own\nN = 7\n"
    )
    tests = (
        "assert total([Pair(1, 2), Pair(b=3, a=4)]) == 10",
        "assert Pair(1, 2).a == 1 and Pair(1, 2).sum() == 3",
        "assert list(count(3)) == [0, 1, 2] and N == 7",
        "try: bad()\nexcept KeyError: pass\nelse: assert False",
        "try: worse()\nexcept Exception: pass\nelse: assert False",
        "assert Pair(1, 2) == Pair(1, 2)",
        "assert Pair(1, 2)",
        "assert nothing(1) == 1",
    )
    assert judged(source, Calls(tests=tests)).passed == (True,) * 5 + (False,) * 3


class Bit(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(10 ** 30), 1.5, float("inf"), "a\ud800\0é", b"\0\xff", 1j, [1, [2]], (1, (2,)), {1, (2, 3)},
        frozenset({1}), {"a": [1], (1, 2): None, 3: {4: 5}}, [], (), {}, set(),
    ],
)  # fmt: skip
def test_plain_values_arrive_as_they_were(value):
    wire = values.json.loads(values.json.dumps(values.encode(value, lambda _: 0)))
    found = values.decode(wire, lambda _: None)
    assert (found, type(found)) == (value, type(value))


def test_values_arrive_without_their_own_classes():
    found = values.decode(values.encode(Bit(3), lambda _: 0), lambda _: None)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("wire", [{"eval": "1"}, {"list": []}, {}, {"int": "3", "set": []}])
def test_what_is_no_value_is_refused(wire):
    with pytest.raises(ValueError, match="no value"):
        values.decode(wire, lambda _: None)


@pytest.mark.parametrize("namespaces", [True, False])
def test_packages_of_this_python_can_be_used(namespaces):
    source = "import numpy as np\ndef square(x): return np.square([x, x])[0]\ndef row(x): return np.arange(x)"
    tests = Calls(tests=(*SQUARE.tests, "assert row(3) == [0, 1, 2] and type(square(3)) is int"))
    assert judged(source, tests, Limits(namespaces=namespaces)).passed == (True,) * 3


def test_tests_may_print():
    noisy = "import sys\nfor file in (sys.stdout, sys.stderr):\n  print('x' * 10 ** 5, file=file, flush=True)"
    assert judged("def square(x): return x * x", Calls(tests=SQUARE.tests, setup=noisy)).passed == (True, True)


def test_the_first_source_that_is_python_is_run():
    assert run(("def square(x)", "def square(x): return x * x", "1 / 0"), SQUARE, LIMITS).passed == (True, True)


def test_tests_that_are_no_python_are_an_error_of_the_data():
    with pytest.raises(DataError, match=r"no Python, so that none can pass.*assert square\(3"):
        judged("def square(x): return 9", Calls(tests=("assert square(3",)))


def test_nothing_outlives_a_trainer_that_is_killed(tmp_path):
    sleep = "run(('import time; time.sleep(999)',), Calls(tests=('f()',)), Limits(seconds=99))"
    code = f"from rewards.sandbox import Calls, Limits, run; {sleep}"
    (tmp_path / "own").mkdir()
    trainer = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path / "own")})
    wait_for(lambda: len(processes_of(trainer.pid)) == 2)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    wait_for(lambda: processes_of(trainer.pid) == [])


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
