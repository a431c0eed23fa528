import os
import signal
import threading
import time
from pathlib import Path

import pytest

from rewards.isolation.pool import Outcome

from .conftest import ends_within, eventually, is_running

NEIGHBOURS = [Outcome(value=1), Outcome(value=2), Outcome(value=3)]


def attacked(pool, how):
    """What comes of one bad call between good ones, which must be right and in order."""
    first, second, bad, third = pool.call(
        [{"how": "", "value": 1}, {"how": "", "value": 2}, {"how": how}, {"how": "", "value": 3}]
    )
    assert [first, second, third] == NEIGHBOURS
    assert pool.call([{"how": "", "value": 1}]) == NEIGHBOURS[:1]
    return bad


@pytest.mark.parametrize("how", ["loop", "power_tower", "backtracking", "shrug_at_the_alarm", "rename_the_alarm"])
def test_what_takes_too_long_is_stopped_by_an_alarm_and_the_child_stays(make, how):
    pool = make("attack", seconds=0.5, workers=1)
    start = time.monotonic()
    assert attacked(pool, how) == Outcome(fault="timeout", note="stopped after 0.5 s")
    assert time.monotonic() - start < 30
    assert pool.restarts == 0


@pytest.mark.parametrize("how", ["loop_in_c", "swallow_the_alarm", "stop_the_guard"])
def test_what_ignores_the_alarm_is_killed(make, how):
    pool = make("attack", seconds=0.5, workers=2)
    assert attacked(pool, how) == Outcome(fault="timeout", note="killed after 2.25 s")
    assert pool.restarts == 1


@pytest.mark.parametrize("how", ["allocate", "grow_a_list"])
def test_memory_is_limited(make, how):
    pool = make("attack", memory_gb=0.5, workers=1)
    assert attacked(pool, how) == Outcome(fault="memory", note="needs over 0.5 GB")


def test_a_child_that_calls_have_bloated_is_replaced_quietly(make):
    pool = make("attack", memory_gb=1.2, workers=1)
    assert pool.call([{"how": "leak", "value": i} for i in range(6)]) == [Outcome(value=i) for i in range(6)]
    assert pool.restarts == 3


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ("kill_itself", "it was ended by SIGKILL."),
        ("kill_the_guard", "it was ended by SIGKILL."),
        ("segfault", "it was ended by SIGSEGV. Its last words: Fatal Python error: Segmentation fault"),
        ("leave_at_once", "it exited with status 3. Its last words: a last word"),
        ("write_everywhere", "what it wrote is no answer"),
        ("write_json_everywhere", "what it wrote is no answer"),
        ("close_everything", ""),
    ],
)
def test_a_call_that_ends_the_child_twice_is_a_crash(make, how, note):
    pool = make("attack", workers=2)
    bad = attacked(pool, how)
    assert (bad.fault, bad.error) == ("crash", "")
    assert bad.note.startswith(note)
    assert pool.restarts == 2


def test_a_call_whose_child_was_killed_from_outside_is_asked_once_more(make, tmp_path):
    pool, file = make("write_pid_and_wait", workers=1), tmp_path / "pid"
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.extend(pool.call([{"file": str(file), "seconds": 0.5}])))
    thread.start()
    assert eventually(30, lambda: file.exists() and file.read_text().endswith("\n"))
    first = int(file.read_text())
    os.kill(first, signal.SIGKILL)
    thread.join()
    assert outcomes[0].fault == ""
    assert outcomes[0].value not in (first, None)
    assert pool.restarts == 1


def test_a_child_that_was_killed_while_idle_costs_no_call_its_second_chance(make, tmp_path):
    pool = make("write_pid_and_wait", workers=1)
    [outcome] = pool.call([{"file": str(tmp_path / "pid"), "seconds": 0}])
    os.kill(outcome.value, signal.SIGKILL)
    assert ends_within(30, outcome.value)
    [again] = pool.call([{"file": str(tmp_path / "pid"), "seconds": 0}])
    assert again.value != outcome.value
    assert pool.restarts == 1


def test_a_call_goes_to_a_child_that_is_there_rather_than_to_one_that_would_have_to_start(make, tmp_path):
    pool, both = make("meet", workers=2), {"folder": str(tmp_path), "count": 2}
    first, second = (outcome.value for outcome in pool.call([both] * 2))
    assert first != second
    [died] = pool.call([both | {"then": "kill_itself"}])
    assert died.fault == "crash"
    [outcome] = pool.call([both])
    assert outcome.value in (first, second)


def test_a_call_that_ended_the_child_once_is_answered(make, tmp_path):
    assert make("die_once").call([{"file": str(tmp_path / "died")}]) == [Outcome(value="alive")]


@pytest.mark.parametrize(
    "how",
    [
        "print_a_flood",
        "write_a_flood",
        "print_surrogates",
        "close_the_streams",
        "cancel_the_alarm",
        "set_an_alarm",
        "raise_the_recursion_limit",
        "leave_threads",
        "fork_and_return",
    ],
)
def test_what_a_verifier_does_to_its_process_does_not_touch_its_neighbours(make, capfd, how):
    pool = make("attack", workers=1)
    assert attacked(pool, how) == Outcome(value=0)
    assert [o.value for o in pool.call([{"how": "print_surrogates", "value": i} for i in range(3)])] == [0, 1, 2]
    assert pool.restarts == 0
    assert capfd.readouterr() == ("", "")


def test_the_alarm_rings_after_a_call_that_cancelled_it(make):
    pool = make("attack", seconds=0.5, workers=1)
    cancelled, loop = pool.call([{"how": "cancel_the_alarm"}, {"how": "loop"}])
    assert (cancelled.value, loop.fault, loop.note) == (0, "timeout", "stopped after 0.5 s")
    assert pool.restarts == 0


def test_the_working_folder_and_the_recursion_limit_are_put_back(make):
    pool = make("attack", workers=1)
    calls = [{"how": "change_the_folder"}, {"how": "raise_the_recursion_limit"}, {"how": "recurse"}]
    assert pool.call(calls)[2].error.startswith("RecursionError")
    assert pool.restarts == 0


def test_processes_that_a_stopped_call_left_behind_are_ended(make, tmp_path):
    """Even one in a session of its own whose parent is gone."""
    pool, file = make("start_a_sleeper", seconds=0.5, workers=1), tmp_path / "pid"
    assert pool.call([{"file": str(file), "then": "loop_in_c"}]) == [
        Outcome(fault="timeout", note="killed after 2.25 s")
    ]
    assert ends_within(30, int(file.read_text()))


def test_processes_that_a_call_left_behind_end_with_the_pool(make, tmp_path):
    pool, file = make("start_a_sleeper"), tmp_path / "pid"
    assert pool.call([{"file": str(file)}]) == [Outcome(value=0)]
    assert is_running(int(file.read_text()))
    pool.close()
    assert not is_running(int(file.read_text()))


def test_neither_zombies_nor_open_files_nor_threads_remain(make):
    def held():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    before = held()
    pool = make("attack", seconds=0.5, workers=2)
    for how in ("kill_itself", "loop_in_c", "kill_the_guard"):
        attacked(pool, how)
    pool.close()
    assert held() == before
    mine = [stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat")]
    assert not [fields for fields in mine if fields[0] == "Z" and int(fields[1]) == os.getpid()]
