import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.data import PromptStream
from unigrpo.data.stream import MixedStream, most_drawn
from unigrpo.errors import ConfigError
from unigrpo.types import Prompt


def stream(count, seed=0, shuffle=True, draw=1):
    return PromptStream([prompt(str(i)) for i in range(count)], seed, shuffle, draw)


def prompt(name):
    return Prompt(id=name, task="text", text="", tokens=np.zeros(1, dtype=np.int64))


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


def mixed(weights, rows=50):
    prompts = {name: [prompt(f"{name}{n}") for n in range(rows)] for name in weights}
    return MixedStream({name: PromptStream(own, 0) for name, own in prompts.items()}, weights)


@given(
    weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=5),
    draws=st.lists(st.integers(1, 20), min_size=1, max_size=12),
)
def test_a_mixed_stream_draws_in_proportion_to_its_weights_at_every_moment(weights, draws):
    names = {f"s{n}": weight for n, weight in enumerate(weights)}
    stream, total = mixed(names), 0
    for n in draws:
        drawn = stream.take(n)
        assert len(drawn) == len({item.id for item in drawn}) == n
        total += n
        for name, weight in names.items():
            assert abs(stream.drawn[name] - total * weight / sum(weights)) <= len(weights)


def test_a_mixed_stream_goes_on_from_its_position():
    one, other = mixed({"a": 1, "b": 3}), mixed({"a": 1, "b": 3})
    for n in (3, 5, 8):
        one.take(n)
    other.position = one.position
    assert [item.id for item in one.take(20)] == [item.id for item in other.take(20)]


@given(n=st.integers(1, 64), weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_no_draw_takes_more_from_a_stream_than_was_foretold(n, weights):
    names = {f"s{i}": weight for i, weight in enumerate(weights)}
    stream = mixed(names, rows=100)
    before = dict(stream.drawn)
    for _ in range(5):
        stream.take(n)
        for name, weight in names.items():
            assert stream.drawn[name] - before[name] <= most_drawn(n, weight / sum(weights))
        before = dict(stream.drawn)


def test_an_empty_position_is_the_beginning_of_a_stream_that_has_been_drawn_from():
    mixed = MixedStream({name: stream(5) for name in "ab"}, {"a": 2.0, "b": 1.0})
    first = [prompt.id for prompt in mixed.take(7)]
    mixed.position = {}
    assert [prompt.id for prompt in mixed.take(7)] == first
