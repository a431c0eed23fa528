from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.data import PromptStream
from unigrpo.errors import ConfigError
from unigrpo.types import Prompt


def stream(count, seed=0, shuffle=True):
    return PromptStream(
        [Prompt(id=str(i), task="text", text="", tokens=np.zeros(1, dtype=np.int64)) for i in range(count)],
        seed,
        shuffle,
    )


def drawn(source, n, times):
    return [[int(prompt.id) for prompt in source.take(n)] for _ in range(times)]


sizes = st.integers(1, 12).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count)))


@given(sizes, st.integers(0, 3), st.booleans())
def test_every_epoch_holds_each_prompt_once_and_every_draw_distinct_ones(size, seed, shuffle):
    count, n = size
    draws = drawn(stream(count, seed, shuffle), n, 4 * count)
    assert all(len(set(draw)) == n for draw in draws)
    flat = list(chain.from_iterable(draws))
    for epoch in range(4 * n):
        assert sorted(flat[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(sizes, st.integers(0, 30))
def test_the_position_is_all_a_resumed_run_needs(size, done):
    count, n = size
    whole = stream(count, seed=5)
    drawn(whole, n, done)
    resumed = stream(count, seed=5)
    resumed.position = whole.position
    assert resumed.position == done * n
    assert drawn(resumed, n, 10) == drawn(whole, n, 10)


@given(st.integers(2, 12), st.lists(st.integers(1, 12), max_size=20))
def test_draws_of_changing_size_hold_no_prompt_twice_either(count, draws):
    source = stream(count)
    for n in draws:
        n = min(n, count)
        before = source.position
        assert len({prompt.id for prompt in source.take(n)}) == n
        assert source.position == before + n


def test_epochs_have_orders_of_their_own_which_the_seed_decides():
    first, second = drawn(stream(50), 50, 2)
    assert first != second
    assert [first, second] == drawn(stream(50), 50, 2)
    assert drawn(stream(50, seed=1), 50, 1)[0] != first


def test_the_order_of_an_epoch_does_not_depend_on_the_draws_that_divide_it():
    in_threes, in_fours = drawn(stream(12), 3, 8), drawn(stream(12), 4, 6)
    assert list(chain(*in_threes)) == list(chain(*in_fours))


def test_without_shuffling_the_order_is_that_of_the_file():
    assert drawn(stream(5, shuffle=False), 2, 5) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]


def test_more_prompts_a_step_than_there_are_is_an_error():
    with pytest.raises(ConfigError) as error:
        stream(10).take(32)
    assert str(error.value) == (
        "rollout.prompts_per_step is 32, but the data has 10 prompts, and no step holds one twice: set it to 1 to "
        "10, or give more data."
    )


def test_no_prompts_is_an_error():
    with pytest.raises(ConfigError, match="there are no prompts to draw from: give data at least one row"):
        stream(0)
