"""One draw: the distribution, the log-probability, what is never drawn; against closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.draw import PIECE, Weights
from unigrpo.algo.random import key, uniform


def chi_square(counts, probabilities):
    expected = probabilities * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def test_a_hundred_thousand_draws_follow_the_softmax():
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0)) * 1.5
    rows = 100_000
    weights = Weights.of(logits.expand(rows, -1))
    drawn = weights.draw(uniform(torch.tensor(key("draws")), torch.arange(rows)))
    counts = drawn.bincount(minlength=50).double()
    assert chi_square(counts, logits.double().softmax(-1)) < 85.4  # 0.999 quantile, 49 degrees of freedom


def test_the_pieces_of_a_large_vocabulary_are_drawn_in_proportion():
    """Draws over several pieces and an incomplete last one, counted by piece and by place in it."""
    size, rows = 3 * PIECE + 40, 100_000
    logits = torch.randn(size, generator=torch.Generator().manual_seed(1))
    drawn = Weights.of(logits.expand(2000, -1))
    points = uniform(torch.tensor(key("pieces")), torch.arange(rows)).view(-1, 2000)
    counts = torch.cat([drawn.draw(part) for part in points]).bincount(minlength=size).double()
    shares = logits.double().softmax(-1)
    assert chi_square(counts, shares) < 938  # 0.999 quantile, 807 degrees of freedom
    assert counts[3 * PIECE :].sum() > 0


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=600), st.floats(0, 1, exclude_min=True, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_a_draw_is_where_the_cumulative_distribution_reaches_the_point(values, point):
    logits = torch.tensor([values])
    cumulative = logits.double().softmax(-1).cumsum(-1)[0]
    found = int(Weights.of(logits).draw(torch.tensor([point], dtype=torch.float64))[0])
    # Float32 weights move a boundary by a rounding.
    assert cumulative[found] >= point - 1e-5
    assert found == 0 or cumulative[found - 1] <= point + 1e-5


@pytest.mark.parametrize("size", [5, PIECE, 2 * PIECE + 3])
@pytest.mark.parametrize("point", [1e-300, 0.5, 1 - 2.0**-53])
def test_a_banned_id_is_never_drawn_however_extreme_the_point(size, point):
    logits = torch.full((size, size), float("-inf"))
    logits.fill_diagonal_(0.0)
    drawn = Weights.of(logits).draw(torch.full((size,), point, dtype=torch.float64))
    assert torch.equal(drawn, torch.arange(size))


def test_log_probabilities_and_entropies_are_those_of_the_tempered_softmax():
    logits = torch.randn(7, 700, generator=torch.Generator().manual_seed(2)) * 4
    logits[:, 5] = float("-inf")
    weights, wanted = Weights.of(logits, 0.7), (logits.double() / 0.7).log_softmax(-1)
    ids = torch.arange(7) * 90
    torch.testing.assert_close(weights.logprobs(ids), wanted.gather(1, ids[:, None])[:, 0], rtol=1e-6, atol=1e-6)
    entropy = -torch.special.xlogy(wanted.exp(), wanted.exp()).sum(-1)
    torch.testing.assert_close(weights.entropy(), entropy, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [5, PIECE, PIECE + 3])
def test_what_is_no_number_draws_some_id_all_the_same(size):
    drawn = Weights.of(torch.full((4, size), float("nan"))).draw(torch.rand(4, dtype=torch.float64))
    assert ((drawn >= 0) & (drawn < size)).all()
