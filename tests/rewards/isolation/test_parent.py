"""What becomes of the children when something happens to their parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from .conftest import VERIFIERS, ends_within, eventually


def started(code: str) -> subprocess.Popen:
    """A program that has a `pool(NAME)` of verifiers."""
    head = f"""
        import os, sys, threading, time
        from rewards.isolation.pool import Limits, Pool

        def pool(name, **more):
            return Pool("{VERIFIERS}:" + name, **more)
    """
    code = textwrap.dedent(head) + textwrap.dedent(code)
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def ran(code: str) -> str:
    """What a program printed, which must end well, in time and without a word of complaint."""
    program = started(code)
    output, complaints = program.communicate(timeout=60)
    assert (program.returncode, complaints) == (0, "")
    return output


@pytest.mark.parametrize("then", ["loop_in_c", "swallow_the_alarm"])
def test_nothing_outlives_a_parent_that_is_killed(tmp_path, then):
    file = tmp_path / "pid"
    program = started(
        f"""
        limits = Limits(seconds=100)
        idle = pool("sleep")
        print(idle.call([dict(seconds=0)])[0].value, flush=True)
        pool("start_a_sleeper", limits=limits).call([dict(file="{file}", then="{then}")])
        """
    )
    assert program.stdout is not None
    idle = int(program.stdout.readline())
    assert eventually(30, lambda: file.exists() and file.read_text().endswith("\n"))
    busy = [pid for pid in descendants(program.pid) if pid != idle]
    time.sleep(0.1)
    program.kill()
    program.communicate()
    assert len(busy) >= 3  # two guards and a worker
    for pid in [idle, int(file.read_text()), *busy]:
        assert ends_within(30, pid)


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            for child in map(int, file.read().split()):
                found += [child, *descendants(child)]
    return found


def test_a_program_that_does_not_close_its_pool_ends_at_once_and_in_silence():
    start = time.monotonic()
    pid = ran("p = pool('sleep', limits=Limits(seconds=100)); print(p.call([dict(seconds=0)])[0].value)")
    assert ends_within(30, int(pid))
    assert time.monotonic() - start < 50


def test_a_program_that_ends_while_a_thread_waits_for_a_verifier_ends_in_silence():
    pid = ran(
        """
        p = pool("sleep", limits=Limits(seconds=60), workers=2)
        print(p.call([dict(seconds=0)])[0].value)

        def wait():
            try:
                p.call([dict(seconds=50)])
            except Exception:
                pass

        threading.Thread(target=wait, daemon=True).start()
        time.sleep(0.3)
        """
    )
    assert ends_within(30, int(pid))


def test_an_interrupt_reaches_the_caller_at_once():
    # What a shell starts in the background ignores interrupts, the tests and all they start included.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    program = started(
        f"{listen} print(1, flush=True); pool('sleep', limits=Limits(seconds=60)).call([dict(seconds=50)])"
    )
    assert program.stdout is not None
    program.stdout.readline()
    time.sleep(0.5)
    start = time.monotonic()
    program.send_signal(signal.SIGINT)
    _, complaints = program.communicate(timeout=60)
    assert complaints.splitlines()[-1] == "KeyboardInterrupt"
    assert time.monotonic() - start < 30


def test_a_fork_has_children_of_its_own_and_leaves_its_parents_alone(tmp_path):
    output = ran(
        f"""
        p = pool("meet", limits=Limits(seconds=30), workers=2)

        def met(name):
            return {{o.value for o in p.call([dict(folder="{tmp_path}/" + name, count=2)] * 2)}}

        before = met("before")
        child = os.fork()
        mine = met("fork" if child == 0 else "parent")
        if child == 0:
            print("fork", len(mine), len(mine & before), flush=True)
            sys.exit()
        _, status = os.waitpid(child, 0)
        after = met("after")
        print("parent", status, mine == after == before, p.restarts)
        """
    )
    assert sorted(output.splitlines()) == ["fork 2 0", "parent 0 True 0"]


def test_a_fork_while_calls_are_under_way_can_call():
    output = ran(
        """
        p = pool("sleep", workers=2)
        thread = threading.Thread(target=lambda: p.call([dict(seconds=0.01)] * 100))
        thread.start()
        for _ in range(5):
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                found = p.call([dict(seconds=0.01)] * 3)
                os._exit(sum(o.fault != "" for o in found))
            print(os.waitpid(child, 0)[1])
        thread.join()
        """
    )
    assert output.split() == ["0"] * 5


@pytest.mark.ray
def test_an_actor_with_several_threads_can_call():
    output = ran(
        """
        import logging, ray
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)

        @ray.remote(max_concurrency=4)
        class Scorer:
            def __init__(self):
                self.pool = pool("attack", limits=Limits(seconds=0.5), workers=2)

            def score(self, value):
                calls = [dict(how="", value=value), dict(how="loop"), dict(how="", value=value)]
                return [(o.value, o.fault) for o in self.pool.call(calls)], threading.current_thread().name

        scorer = Scorer.remote()
        found = ray.get([scorer.score.remote(value) for value in range(4)])
        assert [outcomes for outcomes, _ in found] == [[(v, ""), (None, "timeout"), (v, "")] for v in range(4)]
        print("right")
        """
    )
    assert output == "right\n"
