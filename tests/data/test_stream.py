import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.data import PromptStream
from unigrpo.errors import ConfigError
from unigrpo.types import Prompt


def stream(count, seed=0, shuffle=True, draw=1):
    prompts = [Prompt(id=str(i), task="text", text="", tokens=np.zeros(1, dtype=np.int64)) for i in range(count)]
    return PromptStream(prompts, seed, shuffle, draw)


def drawn(source, sizes):
    return [[int(prompt.id) for prompt in source.take(n)] for n in sizes]


@given(st.integers(1, 12), st.lists(st.integers(1, 12), max_size=30), st.booleans())
def test_no_draw_holds_a_prompt_twice(count, sizes, shuffle):
    for draw in drawn(stream(count, shuffle=shuffle), [min(n, count) for n in sizes]):
        assert len(set(draw)) == len(draw)


@given(st.integers(1, 12), st.integers(1, 12))
def test_draws_that_divide_the_data_make_epochs_that_hold_each_prompt_once(times, n):
    draws = drawn(stream(times * n), [n] * (2 * times))
    for epoch in (draws[:times], draws[times:]):
        assert sorted(row for draw in epoch for row in draw) == list(range(times * n))


@given(st.integers(1, 12), st.lists(st.integers(1, 12), max_size=12))
def test_the_position_is_all_a_resumed_run_needs(count, sizes):
    whole, resumed = stream(count, seed=5), stream(count, seed=5)
    drawn(whole, [min(n, count) for n in sizes])
    resumed.position = whole.position
    assert drawn(resumed, [count, 1, 1]) == drawn(whole, [count, 1, 1])


def test_epochs_have_orders_of_their_own_which_the_seed_decides():
    first, second = drawn(stream(50), [50, 50])
    assert first != second
    assert [first, second] == drawn(stream(50), [50, 50])
    assert drawn(stream(50, seed=1), [50])[0] != first


def test_without_shuffling_the_order_is_that_of_the_file():
    assert drawn(stream(5, shuffle=False), [2, 2, 2]) == [[0, 1], [2, 3], [0, 1]]


@pytest.mark.parametrize("count", [0, 10])
def test_fewer_prompts_than_a_step_takes_is_an_error_before_anything_starts(count):
    with pytest.raises(ConfigError, match=rf"prompts_per_step is 32, but the data has {count} prompts"):
        stream(count, draw=32)
