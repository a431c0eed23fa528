import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.algo.random import bits, gumbel, key, uniform

MASK = (1 << 64) - 1


def splitmix64(seed: int, index: int) -> int:
    """SplitMix64 in Python integers: the second implementation."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40))
def test_bits_equal_splitmix64(seed, index):
    found = int(bits(torch.tensor(seed), torch.tensor(index)))
    assert found & MASK == splitmix64(seed & MASK, index)


def test_published_first_output_of_seed_zero():
    assert int(bits(torch.tensor(0), torch.tensor(0))) & MASK == 0xE220A8397B1DCDAF


def test_keys_differ_by_every_part_and_are_stable():
    assert key(1, "a", 2) == key(1, "a", 2)
    assert len({key(1, "a", 2), key(2, "a", 2), key(1, "b", 2), key(1, "a", 3), key(1, "a", "2")}) == 5


def test_uniform_numbers_are_uniform_and_uncorrelated_between_keys():
    u = uniform(torch.tensor([[key("a")], [key("b")]]), torch.arange(200_000)[None]).numpy()
    assert u.min() > 0
    assert u.max() < 1
    counts = np.histogram(u[0], bins=100, range=(0, 1))[0]
    chi2 = ((counts - 2000) ** 2 / 2000).sum()
    assert chi2 < 99 + 5 * np.sqrt(2 * 99)
    assert abs(np.corrcoef(u)[0, 1]) < 0.012


def test_gumbel_argmax_draws_the_softmax_rare_tokens_included():
    logits = torch.tensor([0.0, -1.0, -2.0, -7.0], dtype=torch.float64)
    draws = 400_000
    noise = gumbel(torch.tensor(key("draw")), torch.arange(draws * 4)).view(draws, 4)
    counts = (logits + noise).argmax(-1).bincount(minlength=4).double()
    expected = logits.softmax(-1) * draws
    assert float(((counts - expected) ** 2 / expected).sum()) < 16.3  # 0.999 quantile, 3 degrees of freedom
