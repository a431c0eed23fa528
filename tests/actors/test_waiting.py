"""What goes wrong in a worker, as the driver sees it."""

import os
import time

import pytest
import ray
import torch

from actors.waiting import call, gather
from unigrpo.errors import ConfigError, LostWorkerError, OutOfMemoryError

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(address="local", num_cpus=4, include_dashboard=False)
    yield
    ray.shutdown()


def raises(error):
    raise error


def act(function):
    return ray.remote(max_retries=0)(function)


PEER = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:52356")


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (ConfigError("model.device is wrong."), ConfigError, r"^model\.device is wrong\.$"),
        (torch.OutOfMemoryError("no room"), LostWorkerError, "the worker ran out of memory: no room"),
        (OutOfMemoryError("k=1 is too much.", "k", 1), OutOfMemoryError, r"^k=1 is too much\.$"),
        (ray.exceptions.OwnerDiedError("ab", None, ""), LostWorkerError, "the worker lost another"),
        (PEER, LostWorkerError, "the worker lost another rank"),
        (KeyError("ours"), ray.exceptions.RayTaskError, "ours"),
    ],
)
def test_an_error_in_a_worker_is_what_the_user_can_act_on(error, expected, words):
    with pytest.raises(expected, match=words):
        call(act(raises).remote(error), what="the worker")


def test_a_worker_that_dies_is_lost():
    actor = ray.remote(Mortal).remote()
    with pytest.raises(LostWorkerError, match="the worker died"):
        call(actor.die.remote(), what="the worker")


class Mortal:
    def die(self):
        os._exit(1)

    def answer(self, seconds):
        time.sleep(seconds)
        return seconds


def test_a_worker_that_does_not_answer_is_lost_and_the_limit_is_named():
    actor = ray.remote(Mortal).remote()
    with pytest.raises(LostWorkerError, match=r"the worker did not answer within 1 s\. The cluster has \d"):
        gather([actor.answer.remote(600)], 1, "the worker")
    ray.kill(actor)


def test_the_first_failure_ends_the_waiting_for_workers_that_would_wait_for_ever():
    slow, bad = ray.remote(Mortal).remote(), ray.remote(Mortal).remote()
    started = time.monotonic()
    with pytest.raises(LostWorkerError, match="died"):
        gather([slow.answer.remote(600), bad.die.remote()], None, "the worker")
    assert time.monotonic() - started < 300
    ray.kill(slow)


def test_answers_come_in_the_order_of_the_questions():
    actors = [ray.remote(Mortal).remote() for _ in range(2)]
    asked = [a.answer.remote(s) for a, s in zip(actors, (0.3, 0.0), strict=True)]
    assert gather(asked, None, "the worker") == [0.3, 0.0]
