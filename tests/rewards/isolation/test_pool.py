import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rewards.isolation import process
from rewards.isolation.pool import Limits, Outcome, Pool
from rewards.score import Score
from unigrpo.errors import ConfigError, RewardError

from .conftest import VERIFIERS, eventually


def test_outcomes_come_in_the_order_of_the_calls(make):
    outcomes = make("add", workers=3).call([{"left": i, "right": i} for i in range(300)])
    assert outcomes == [Outcome(value=2 * i) for i in range(300)]


def test_no_calls_start_no_child(make):
    pool = make("no_such_function")
    assert pool.call([]) == []


def test_there_are_no_more_children_than_calls_or_workers(make, tmp_path):
    pool = make("meet", workers=2)
    assert len({o.value for o in pool.call([{"folder": f"{tmp_path}/one", "count": 1}])}) == 1
    assert len({o.value for o in pool.call([{"folder": f"{tmp_path}/two", "count": 2}] * 6)}) == 2


def test_a_slow_call_does_not_hold_up_others(make, tmp_path):
    pool = make("meet", workers=2)
    names = [f"call {number}" for number in range(21)]
    outcomes = pool.call([{"folder": str(tmp_path), "count": 1 if at else 21, "name": n} for at, n in enumerate(names)])
    assert not [outcome.fault for outcome in outcomes if outcome.fault]  # the first has waited for all others


def test_many_threads_can_call_at_the_same_time(make):
    pool = make("add", workers=2)
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda i: pool.call([{"left": i, "right": j} for j in range(20)]), range(50)))
    assert [[o.value for o in outcomes] for outcomes in found] == [[i + j for j in range(20)] for i in range(50)]


def test_children_stay_when_the_thread_that_first_called_has_ended(make):
    pool, pids = make("sleep", workers=1), []
    thread = threading.Thread(target=lambda: pids.extend(pool.call([{"seconds": 0}])))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert pool.call([{"seconds": 0}]) == pids
    assert pool.restarts == 0


def test_a_class_is_built_in_the_child_and_a_function_is_given_its_settings(make):
    assert make("Adder", {"start": np.int64(40)}).call([{"value": 2}]) == [Outcome(value=42)]
    assert make("add", {"right": 4, "scale": 2}).call([{"left": 1}, {"left": 1, "scale": 3}]) == [
        Outcome(value=10),
        Outcome(value=15),
    ]


def test_an_async_function_is_waited_for(make):
    assert make("add_later").call([{"left": 1, "right": 2}] * 2) == [Outcome(value=3)] * 2


def test_values_survive_both_ways(make):
    values = ["\ud83d\ude00 \x00 ש", b"\x00\xff", None, True, [1, (2.5, "x")], {"__int__": {1: "a"}}, 10**6000]
    assert [o.value for o in make("echo").call([{"value": value} for value in values])] == values


def test_arrays_arrive_as_arrays_and_come_back_as_numbers(make):
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)  # larger than a pipe holds
    assert make("echo").call([{"value": image}, {"value": np.float32(0.5)}]) == [
        Outcome(value=image.tolist()),
        Outcome(value=0.5),
    ]


def test_a_record_of_a_score_comes_back_as_a_score(make):
    assert make("scored").call([{"value": 0.5}]) == [Outcome(value=[Score(0.5, {"half": 0.25}, "so it is")])]


def test_an_exception_names_the_line_and_leaves_the_child_alive(make):
    line = 1 + VERIFIERS.read_text().splitlines().index("    return 1 / value")
    pool = make("divide", workers=1)
    assert pool.call([{"value": 0}, {"value": 2}, {"vale": 1}]) == [
        Outcome(error=f"ZeroDivisionError: division by zero ({VERIFIERS}:{line})"),
        Outcome(value=0.5),
        Outcome(error="TypeError: divide() got an unexpected keyword argument 'vale'"),
    ]
    assert pool.restarts == 0


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
        ("unprintable", "BadError: (it cannot be printed)"),
        ("return_itself", "RecursionError: maximum recursion depth exceeded"),
        ("leave", "SystemExit: 3"),
        ("return_a_set", "TypeError: it returned a set, which is no number, text or record"),
    ],
)
def test_what_a_verifier_raises_is_reported(make, name, error):
    [outcome] = make(name).call([{}])
    assert outcome.error.startswith(error)
    assert outcome.fault == ""


@pytest.mark.parametrize(
    ("target", "args", "message"),
    [
        (f"{VERIFIERS}:ecko", {}, "has no function or class `ecko`"),
        ("/no/such/file.py:echo", {}, "No such file or directory: '/no/such/file.py'"),
        ("no_such_package.module:echo", {}, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("json:__name__", {}, "'json' is not a callable object"),
        (f"{VERIFIERS}:Adder", {"begin": 1}, "unexpected keyword argument 'begin'"),
        (f"{VERIFIERS}:Adder", {"start": object()}, "the setting `start` is or holds a object"),
    ],
)
def test_what_cannot_be_loaded_is_an_error_and_not_a_hang(target, args, message):
    pool = Pool(target, args, name="rewards.mine")
    for _ in range(2):
        with pytest.raises(RewardError, match=message) as caught:
            pool.call([{"value": 1}] * 10)
        assert str(caught.value).startswith("rewards.mine: ")


def test_a_child_that_ends_while_it_loads_tells_its_last_words(tmp_path):
    (tmp_path / "mine.py").write_text("import os, sys\nprint('not today', flush=True)\nos._exit(7)\n")
    pool = Pool(f"{tmp_path}/mine.py:f")
    with pytest.raises(RewardError, match=r"it exited with status 7\. Its last words: not today"):
        pool.call([{}])


def test_a_child_that_does_not_finish_loading_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "START", 0.5)
    (tmp_path / "mine.py").write_text("import time\ntime.sleep(100)\n")
    with pytest.raises(RewardError, match=r"has not loaded .*mine\.py:f in 0\.5 s\."):
        Pool(f"{tmp_path}/mine.py:f").call([{}] * 3)


def test_a_verifier_that_needs_more_memory_than_it_may_take_says_so(tmp_path):
    (tmp_path / "mine.py").write_text("table = bytearray(10**9)\n")
    pool = Pool(f"{tmp_path}/mine.py:f", limits=Limits(memory_gb=0.5))
    with pytest.raises(RewardError, match=r"MemoryError .*It may take 0\.5 GB: raise the limit\."):
        pool.call([{}])


def test_an_argument_that_cannot_be_sent_is_named(make):
    pool = make("echo")
    with pytest.raises(RewardError, match=r"call 1: the argument `value` is or holds a _thread\.lock"):
        pool.call([{"value": 1}, {"value": {"deep": [threading.Lock()]}}])
    assert pool.call([{"value": 1}]) == [Outcome(value=1)]


@pytest.mark.parametrize("target", ["echo", "verifiers.py:echo", ":echo", "__main__:echo"])
def test_a_target_that_a_child_could_not_find_is_refused(target):
    with pytest.raises(ConfigError, match="cannot be isolated"):
        Pool(target)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": float("nan")}, {"memory_gb": -1}])
def test_limits_without_meaning_are_refused(limits):
    with pytest.raises(ConfigError, match="above 0"):
        Limits(**limits)


def test_a_pool_describes_its_verifier(make):
    assert make("add").parameters() == [
        ("left", "POSITIONAL_OR_KEYWORD", True),
        ("right", "POSITIONAL_OR_KEYWORD", False),
        ("scale", "KEYWORD_ONLY", False),
    ]
    adder = make("Adder", {"start": 1})
    assert adder.parameters() == [("value", "POSITIONAL_OR_KEYWORD", True)]
    assert (adder.makes_object(), make("add").makes_object()) == (True, False)


def test_it_runs_in_another_environment(make, tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    (tmp_path / "only_here.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = make("where", python=str(tmp_path / "other/bin/python"))
    [outcome] = pool.call([{"text": "\ud800", "data": b"\x00"}])
    assert outcome.value["prefix"] == str(tmp_path / "other")
    assert (outcome.value["text"], outcome.value["data"]) == ("\ud800", b"\x00")
    [failed] = make("echo", python=str(tmp_path / "other/bin/python")).call([{"value": np.zeros(2)}])
    assert failed.error.startswith("ModuleNotFoundError: No module named 'numpy'")
    with pytest.raises(RewardError, match="No module named 'only_here'"):
        Pool("only_here:f", python=str(tmp_path / "other/bin/python")).call([{}])


def test_modules_of_this_process_are_found_in_its_own_environment(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def f(): return 'found'")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Pool("only_here:f").call([{}]) == [Outcome(value="found")]


def test_an_interpreter_that_is_not_there_is_an_error(make):
    with pytest.raises(RewardError, match="there is no Python at '/no/python'"):
        make("echo", python="/no/python").call([{"value": 1}])
    with pytest.raises(RewardError, match="ended before it had loaded"):
        make("echo", python="/bin/true").call([{"value": 1}])


@pytest.mark.parametrize("killed", [2, 3])
def test_a_child_that_is_killed_as_it_loads_is_started_again(tmp_path, killed):
    """As a system out of memory does. After the third in a row the verifier counts as one that cannot be loaded."""
    (tmp_path / "killed.py").write_text(
        "import os\n"
        "with open(__file__ + '.times', 'a+') as file:\n"
        "    file.write('x')\n"
        "    file.seek(0)\n"
        f"    os.kill(os.getpid(), 9 if len(file.read()) <= {killed} else 0)\n"
        "def f(): return 'found'\n"
    )
    pool = Pool(f"{tmp_path}/killed.py:f")
    if killed < 3:
        assert pool.call([{}]) == [Outcome(value="found")]
        assert pool.restarts == killed
    else:
        with pytest.raises(RewardError, match=r"ended before it had loaded .* ended by SIGKILL"):
            pool.call([{}])
        assert pool.call([{}]) == [Outcome(value="found")]


def test_sympy_would_not_use_what_no_alarm_interrupts(make):
    names = ["SYMPY_GROUND_TYPES", "MPMATH_NOGMPY", "OMP_NUM_THREADS"]
    assert [o.value for o in make("variable").call([{"name": name} for name in names])] == ["python", "1", "1"]


def test_children_end_with_close_and_with_the_pool(make, tmp_path):
    pool = make("meet", workers=2)
    pids = {outcome.value for outcome in pool.call([{"folder": str(tmp_path), "count": 2}] * 2)}
    assert len(pids) == 2
    pool.close()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
    with pytest.raises(RewardError, match="its pool is closed"):
        pool.call([{"folder": str(tmp_path), "count": 1}])
    forgotten = Pool(f"{VERIFIERS}:sleep")
    [outcome] = forgotten.call([{"seconds": 0}])
    del forgotten
    assert eventually(30, lambda: not os.path.exists(f"/proc/{outcome.value}"))


def test_close_fails_the_calls_that_are_under_way(make):
    pool = make("sleep", workers=1, seconds=100)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pool.call, [{"seconds": 90}] * 3)
        time.sleep(0.3)
        start = time.monotonic()
        pool.close()
        with pytest.raises(RewardError, match="its pool is closed"):
            running.result()
    assert time.monotonic() - start < 30
