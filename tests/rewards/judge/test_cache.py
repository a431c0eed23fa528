import signal
import sqlite3
import subprocess
import sys

import pytest

from rewards.judge.cache import Cache
from unigrpo.errors import RewardError

WRITER = """
import sys
from rewards.judge.cache import Cache
cache, name = Cache(sys.argv[1]), sys.argv[2]
for number in range(int(sys.argv[3])):
    cache.put(f"{name}/{number}", f"answer {number}")
    print(number, flush=True)
"""
ASKER = """
import asyncio, sys
from rewards.judge.judge import Judge
judge = Judge(sys.argv[1], "judge", "{response} {prompt}", {"A": 1, "B": 0}, cache=sys.argv[2], patience=0.1)
print(asyncio.run(judge(prompt="x", response="0.625")).value)
"""


def python(source: str, *args: object) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", source, *map(str, args)], stdout=subprocess.PIPE, text=True)


def test_what_was_answered_is_not_asked_again(server, judge, scores, tmp_path):
    first = scores(judge(server, cache=str(tmp_path)), "0.25", "1")
    again = scores(judge(server, cache=str(tmp_path)), "1", "0.25", "0.25")
    assert [score.value for score in again] == [first[1].value, first[0].value, first[0].value]
    assert len(server.requests) == 2


def test_another_request_is_another_answer(server, judge, scores, tmp_path):
    for settings in ({}, {"seed": 1}, {"rubric": "{prompt} {response}"}, {"max_tokens": 5}, {"number": [0, 1]}):
        scores(judge(server, cache=str(tmp_path), **settings), "1")
    assert len(server.requests) == 5
    assert scores(judge(server, cache=str(tmp_path), choices={"A": 5, "B": 1}), "0.5")[0].value == pytest.approx(3)
    assert scores(judge(server, cache=str(tmp_path), choices={"A": 9, "B": 1}), "0.5")[0].value == pytest.approx(5)
    assert len(server.requests) == 6


def test_another_process_finds_it_and_needs_no_server(server, judge, scores, tmp_path):
    settings = {"cache": str(tmp_path), "rubric": "{response} {prompt}"}
    assert scores(judge(server, **settings), "0.625")[0].value == pytest.approx(0.625)
    outputs = [python(ASKER, address, tmp_path).communicate()[0] for address in (server.url, "http://127.0.0.1:9/v1")]
    assert len(server.requests) == 2  # its prompt is another
    assert float(outputs[0]) == float(outputs[1]) == pytest.approx(0.625)


def test_only_valid_answers_are_kept(server, judge, scores, tmp_path):
    asked = judge(server, cache=str(tmp_path))
    for _ in range(2):
        assert scores(asked, "say nonsense")[0].value != 1
    server.faults.append(b"{}")
    scores(asked, "1")
    scores(asked, "1")
    assert len(server.requests) == 3


def test_several_processes_may_write_at_once(tmp_path):
    writers = [python(WRITER, tmp_path, name, 100) for name in range(4)]
    assert [writer.communicate() and writer.returncode for writer in writers] == [0] * 4
    cache = Cache(str(tmp_path))
    assert all(cache.get(f"{name}/{n}") == f"answer {n}" for name in range(4) for n in range(100))


def test_what_was_kept_survives_a_killed_writer(tmp_path):
    writer = python(WRITER, tmp_path, "a", 1_000_000)
    lines = [writer.stdout.readline() for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].splitlines()
    last = int(([*lines, *rest[:-1]])[-1])
    cache = Cache(str(tmp_path))
    assert all(cache.get(f"a/{number}") == f"answer {number}" for number in range(last + 1))
    with sqlite3.connect(cache.path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_oldest_go_first(tmp_path):
    cache = Cache(str(tmp_path), limit=3)
    for key in "abcbde":
        cache.put(key, key)
    assert [cache.get(key) for key in "abcdef"] == [None, None, "c", "d", "e", None]


def test_a_file_that_is_no_cache_is_an_error_that_names_it(tmp_path):
    (tmp_path / "judge.sqlite").write_bytes(b"no database at all, but long enough to look at" * 100)
    with pytest.raises(RewardError, match=r"judge\.sqlite cannot be used \(file is not a database\): set `cache` to"):
        Cache(str(tmp_path))
    with pytest.raises(RewardError, match=r"cannot be used \(.*Not a directory"):
        Cache(str(tmp_path / "judge.sqlite" / "inside"))
