"""Sampling that is looked at: what is seen, that looking changes nothing, and that it can be stopped."""

import time
from itertools import pairwise
from threading import Event, Thread

import numpy as np
import pytest

from rollout.sampler import Sampler
from tests.rollout.test_drawing import SETTINGS, asked, sampler
from unigrpo.demo.watch import watch
from unigrpo.errors import DataError
from unigrpo.types import Rollout


def job(task="text", number=0):
    made = sampler(SETTINGS)

    def sample(told) -> Rollout:
        return Sampler(made.policy, SETTINGS, 0, made.images, told).sample(asked(task, number), 1, 0)[0]

    return sample


@pytest.mark.parametrize("task", ["text", "image", "think_image"])
def test_every_step_is_told_and_the_last_is_the_answer_that_nobody_watched(task):
    seen = []
    found = job(task)(lambda part, ids_BC: seen.append((part, ids_BC[0].numpy().copy())))
    [alone] = sampler(SETTINGS).sample(asked(task, 0), 1, 0)
    np.testing.assert_array_equal(found.tokens, alone.tokens)
    parts = {"text": ["text"], "image": ["image"], "think_image": ["text", "image"]}[task]
    assert list(dict.fromkeys(part for part, _ in seen)) == parts
    for part in parts:
        own = [ids for name, ids in seen if name == part]
        left = [int((ids == 9).sum()) for ids in own]
        assert left == sorted(left, reverse=True)
        assert len(own) == len(set(left)) > 1
        for earlier, later in pairwise(own):
            np.testing.assert_array_equal(later[earlier != 9], earlier[earlier != 9])
    text, codes = [[ids for name, ids in seen if name == part] for part in ("text", "image")]
    if codes:
        np.testing.assert_array_equal(codes[-1], alone.tokens[-len(codes[-1]) - 1 : -1])
    if text:
        written = text[-1][: len(alone.tokens)]
        kept = alone.sampled[: len(written)]
        np.testing.assert_array_equal(written[kept], alone.tokens[: len(written)][kept])


def test_two_are_watched_side_by_side_and_each_ends_in_its_own_answer():
    *_, last = watch([job("text", 0), job("image", 1)], Event())
    assert [len(one.rollout.tokens) for one in last] == [len(job("text", 0)(quiet).tokens), 5]
    assert [one.steps for one in last] == [6, 3]
    assert last[0].codes is None
    assert last[1].text is None


def quiet(part, ids_BC):
    pass


def test_a_pace_is_kept():
    *_, last = watch([job()], Event(), pace=0.05)
    assert last[0].seconds >= 6 * 0.05


def test_stop_ends_it_before_the_next_step_however_slow_they_are():
    stop, began, seen = Event(), time.monotonic(), []
    for [now] in watch([job()], stop, pace=60):
        seen.append(now)
        stop.set()
    assert [one.steps for one in seen] == [1, 1]
    assert seen[-1].stopped
    assert seen[-1].over
    assert seen[-1].rollout is None
    assert time.monotonic() - began < 20


def test_who_looks_away_ends_it():
    stop = Event()
    looked = watch([job()], stop, pace=60)
    next(looked)
    looked.close()
    assert stop.is_set()


class Ahead(Thread):
    """One that has ended before who started it goes on."""

    def start(self):
        super().start()
        self.join()


@pytest.mark.parametrize("thread", [Thread, Ahead])
def test_what_goes_wrong_is_told_in_words(caplog, monkeypatch, thread):
    monkeypatch.setattr("unigrpo.demo.watch.Thread", thread)

    def refused(told):
        raise DataError("too much")

    def broken(told):
        raise ZeroDivisionError("inside")

    *_, last = watch([refused, broken], Event())
    assert last[0].problem == "too much"
    assert "something went wrong" in last[1].problem
    assert "ZeroDivisionError: inside" in caplog.text
