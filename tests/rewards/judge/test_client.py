import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from unigrpo.errors import ConfigError, RewardError

KEY = "sk-a-key"


def test_requests_fill_the_limit_and_never_pass_it(serve, judge, scores):
    server = serve(delay=0.05)
    server.meet = 5
    found = scores(judge(server, max_concurrency=5, timeout=60), *[f"{n / 20}" for n in range(20)])
    assert [score.value for score in found] == pytest.approx([n / 20 for n in range(20)])
    assert server.busiest == 5


@pytest.mark.parametrize("fault", [(500, {}), (503, {}), (429, {}), (408, {}), "cut"])
def test_what_fails_twice_is_asked_a_third_time(server, judge, scores, fault):
    server.faults += [fault, fault]
    (score,) = scores(judge(server), "0.75")
    assert score.value == pytest.approx(0.75)
    assert not server.faults


def test_a_server_that_hangs_is_asked_again_after_the_timeout(server, judge, scores):
    server.faults.append("hang")
    started = time.monotonic()
    (score,) = scores(judge(server, timeout=0.3, patience=20), "0.75")
    assert score.value == pytest.approx(0.75)
    assert 0.3 < time.monotonic() - started < 60


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_to_wait_is_left_alone_for_so_long(server, judge, scores, form):
    wait = "1" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.faults.append((429, {"Retry-After": wait}))
    started = time.monotonic()
    (score,) = scores(judge(server, patience=10), "1")
    assert score.value == 1
    assert 1 <= time.monotonic() - started < 10


@pytest.mark.parametrize("wait", ["", "soon", "-5", "nan"])
def test_a_wait_that_makes_no_sense_is_ignored(server, judge, scores, wait):
    server.faults.append((503, {"Retry-After": wait}))
    assert scores(judge(server), "1")[0].value == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ((500, {}), "/v1/chat/completions answers 500: told to fail; tried "),
        ((429, {"Retry-After": "1000"}), "answers 429: told to fail; tried 2 times"),
        ("cut", "cannot be reached (RemoteProtocolError: "),
        ("hang", "did not answer within 0.2 s (timeout); tried "),
    ],
)
def test_what_fails_beyond_patience_is_nan_and_says_why(server, judge, scores, fault, expected):
    server.always = fault
    started = time.monotonic()
    (score,) = scores(judge(server, patience=0.5, timeout=0.2), "1")
    assert math.isnan(score.value)
    assert expected in score.note
    assert 0.5 <= time.monotonic() - started < 30


def test_a_server_that_is_not_there_costs_its_patience_once_and_not_for_every_request(judge, scores, free_port):
    gone = judge(f"http://127.0.0.1:{free_port}/v1", patience=0.8, max_concurrency=2)
    for _ in range(2):
        started = time.monotonic()
        found = scores(gone, *["1"] * 20)
        assert all(math.isnan(score.value) and "cannot be reached (ConnectError" in score.note for score in found)
        assert 0.8 <= time.monotonic() - started < 10 * 0.8  # not of ten rounds of two


def test_a_request_that_always_fails_ends_although_others_succeed(serve, judge, scores):
    server = serve(delay=0.02)
    server.poison = b"say poison"
    started = time.monotonic()
    found = scores(judge(server, patience=0.5, max_concurrency=2), "say poison", *["1"] * 60)
    assert math.isnan(found[0].value)
    assert [score.value for score in found[1:]] == [1] * 60
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b'{"choices": 3}', b"NaN", b"\xff\xfe"])
def test_a_reply_that_is_no_completion_is_nan(server, judge, scores, body):
    server.faults.append(body)
    (score,) = scores(judge(server), "1")
    assert math.isnan(score.value)
    assert score.note.startswith("no judgement: ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"api_key": "sk-wrong"}, "answers 401: Incorrect API key provided: Bearer ...: set `api_key_env` to the"),
        ({"api_key": None}, "answers 401: Incorrect API key provided: None: set `api_key_env` to the environment"),
        ({"model": "other"}, "answers 404: The model `other` does not exist.: set `base_url` to what comes before"),
        ({"base_url": "{url}/v2"}, "/v1/v2/chat/completions answers 404: Not Found: set `base_url` to what"),
        ({"temperature": 9.0}, "answers 400: Unrecognized request argument supplied: temperature: correct `model`,"),
        ({"extra_body": {"top_k": 1}}, "answers 400: Unrecognized request argument supplied: top_k: correct `model`"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(serve, judge, scores, settings, expected):
    server = serve(key=KEY)
    settings = {key: value.format(url=server.url) if key == "base_url" else value for key, value in settings.items()}
    with pytest.raises(RewardError) as caught:
        scores(judge(server, **{"api_key": KEY, **settings}), "1")
    assert expected in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_a_server_without_structured_outputs_is_refused_and_asked_without(serve, judge, scores):
    server = serve(vllm=False)
    with pytest.raises(RewardError, match=r"supplied: structured_outputs: correct .*`constrain`"):
        scores(judge(server), "1")
    assert scores(judge(server, constrain=False), "0.25")[0].value == pytest.approx(0.25)


def test_one_response_that_is_too_long_for_the_judge_stops_nothing(serve, judge, scores):
    long, short = "say A" + " " * 5000, "1"
    for order in ((long, short), (short, long)):
        server = serve(context=3000)
        found = dict(zip(order, scores(judge(server, max_concurrency=1), *order), strict=True))
        assert found[short].value == 1
        assert math.isnan(found[long].value)
        assert found[long].note.startswith("the judge refuses: ")


def test_the_key_travels_in_its_header(serve, judge, scores):
    assert scores(judge(serve(key=KEY), api_key=f"{KEY}\n"), "1")[0].value == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"api_key": "a\nb"}, "api_key_env names a variable that holds no key"),
        ({"api_key": "schlüssel"}, "api_key_env names a variable that holds no key"),
        ({"max_concurrency": 0}, "max_concurrency is 0: set it to a finite number above 0."),
        ({"timeout": math.inf}, "timeout is inf: set it to a finite number above 0."),
        ({"patience": -1.0}, "patience is -1.0: set it to a finite number above 0."),
        ({"number": [0, 1], "choices": {"A": 1, "B": 0}}, "set either choices, as in"),
        ({"extra_body": {"model": "x"}}, "extra_body.model is set by the judge itself: use its own setting, or null"),
        ({"extra_body": {"messages": []}}, "extra_body.messages is set by the judge itself"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_when_it_is_built(judge, settings, expected):
    with pytest.raises(ConfigError) as caught:
        judge("http://127.0.0.1:1/v1", **settings)
    assert expected in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://", "http://x:y", "/v1"])
def test_an_address_must_be_one(judge, url):
    with pytest.raises(ConfigError, match="base_url is "):
        judge(url)


def test_a_server_that_is_killed_and_comes_back_costs_nothing(judge, spawn, free_port):
    values = [n / 40 for n in range(40)]
    found, seconds = asyncio.run(_with_a_kill(judge, spawn, free_port, values, comes_back=True))
    assert [score.value for score in found] == pytest.approx(values)
    assert seconds < 30


def test_a_server_that_is_killed_and_stays_away_gives_nan_and_never_zero(judge, spawn, free_port):
    values = [(n + 1) / 40 for n in range(40)]
    found, seconds = asyncio.run(_with_a_kill(judge, spawn, free_port, values, comes_back=False))
    known = [(score.value, value) for score, value in zip(found, values, strict=True) if not math.isnan(score.value)]
    assert 0 < len(known) < 40
    assert [value for value, _ in known] == pytest.approx([value for _, value in known])
    assert all("cannot be reached" in score.note for score in found if math.isnan(score.value))
    assert seconds < 30


async def _with_a_kill(judge, spawn, port, values, comes_back):
    """Judge while the server is killed; 4 at a time of 0.05 s each would take 0.5 s."""
    kill = spawn(port, 0.05)
    asked = judge(f"http://127.0.0.1:{port}/v1", max_concurrency=4, patience=30.0 if comes_back else 1.0)
    while math.isnan((await asked(prompt="", response="1")).value):  # until it has started
        pass
    started = time.monotonic()
    tasks = [asyncio.create_task(asked(prompt="", response=f"{value}")) for value in values]
    while sum(task.done() for task in tasks) < 8:
        await asyncio.sleep(0.01)
    kill()
    assert sum(task.done() for task in tasks) < 40
    if comes_back:
        await asyncio.sleep(0.5)
        spawn(port, 0.05)
    return await asyncio.gather(*tasks), time.monotonic() - started
