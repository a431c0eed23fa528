import threading
import time

import pytest

from unigrpo.ahead import Ahead


class Worker:
    """Draws what tells which weights it had."""

    def __init__(self):
        self.weights, self.threads, self.active = 0, set(), 0

    def load(self, weights):
        self.weights = weights

    def draw(self, step):
        self.active += 1
        assert self.active == 1, "two batches are drawn at one time"
        self.threads.add(threading.current_thread().name)
        time.sleep(0.002)
        self.active -= 1
        return step, self.weights


@pytest.mark.parametrize("staleness", [0, 1, 2, 7])
@pytest.mark.parametrize("start", [0, 3])
def test_each_batch_is_drawn_with_weights_that_are_exactly_so_many_updates_old(staleness, start):
    worker = Worker()
    worker.load(start)
    with Ahead(worker.draw, worker.load, staleness, range(start, 9)) as ahead:
        for step in range(start, 9):
            assert ahead.get() == (step, max(start, step - staleness))
            ahead.give(step + 1)
    assert worker.threads == ({threading.current_thread().name} if not staleness else worker.threads)
    assert len(worker.threads) == 1


def test_an_evaluation_has_the_newest_weights_and_batches_keep_theirs():
    worker = Worker()
    with Ahead(worker.draw, worker.load, 2, range(6)) as ahead:
        for step in range(6):
            assert ahead.get() == (step, max(0, step - 2))
            ahead.give(step + 1)
            assert ahead.run(lambda: worker.weights) == step + 1


def test_what_goes_wrong_while_drawing_ahead_is_raised_where_the_batch_is_asked_for():
    def draw(step):
        if step == 2:
            raise ValueError("no more")
        return step

    seen = []

    def loop():
        with Ahead(draw, lambda weights: None, 1, range(9)) as ahead:
            for step in range(9):
                seen.append(ahead.get())
                ahead.give(step)

    with pytest.raises(ValueError, match="no more"):
        loop()
    assert seen == [0, 1]


def test_drawing_goes_on_while_the_learner_is_at_work():
    learning, drawn = threading.Event(), threading.Event()

    def draw(step):
        if step == 1:
            assert learning.wait(60)
            drawn.set()
        return step

    with Ahead(draw, lambda weights: None, 1, range(2)) as ahead:
        ahead.get()
        learning.set()
        assert drawn.wait(60), "batch 1 is drawn while batch 0 is learned"
        assert ahead.get() == 1
