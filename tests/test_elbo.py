import itertools

import numpy as np
import pytest
import torch

from tests.tiny import IDS, SUPPORT, tiny_model
from unigrpo.elbo import Given, elbos
from unigrpo.models.load import Policy
from unigrpo.models.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def policy():
    return Policy(tiny_model(spread=0.6), train_tokenizer(["a"], 300), IDS)


def given(prompt, tokens):
    return Given(prompt=np.array(prompt), tokens=np.array(tokens))


def of(policy, *every, samples=64, batch_size=64, seed=0):
    return elbos(policy, every, samples=samples, batch_size=batch_size, seed=seed)


@torch.no_grad()
def exact(policy, prompt, tokens):
    """The expectation over all numbers of masks and all places, by one forward for each set of places."""
    size, total = len(tokens), 0.0
    for count in range(1, size + 1):
        sets = list(itertools.combinations(range(size), count))
        for hidden in sets:
            ids = torch.tensor([[*prompt, *tokens]])
            ids[0, [len(prompt) + at for at in hidden]] = IDS.mask
            logits = policy.model(ids).logits[0, len(prompt) :].double()
            logits[:, list(SUPPORT.banned)] = -torch.inf
            chosen = logits.log_softmax(-1)[range(size), tokens]
            total += size / count * float(chosen[list(hidden)].sum()) / len(sets) / size
    return total


@pytest.mark.parametrize("tokens", [[4], [0, 5], [3, 1, 6], [2, 2, 0, 5]])
def test_estimates_the_expectation_over_all_masks(policy, tokens):
    prompt = [7, 1, 2, 3]
    found = [of(policy, given(prompt, tokens), samples=60, seed=seed)[0] for seed in range(40)]
    expected = exact(policy, prompt, tokens)
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / 40**0.5 + 1e-5)
    assert np.std(found) < 0.3 * abs(expected)


def test_one_token_is_exact_with_one_mask_whatever_the_seed(policy):
    prompt, tokens = [7, 5], [3]
    assert of(policy, given(prompt, tokens), samples=128)[0] == pytest.approx(exact(policy, prompt, tokens), abs=1e-5)
    assert of(policy, given(prompt, tokens), samples=1, seed=9)[0] == of(policy, given(prompt, tokens), samples=128)[0]


@pytest.mark.parametrize("batch_size", [1, 5, 24, 1000])
def test_an_estimate_depends_on_neither_batches_nor_company(policy, batch_size):
    every = [given([7, 1, 2], [3, 4]), given([7], [5]), given([7, 6, 6, 6, 1], [0, 1]), given([7, 2], [1, 2, 3])]
    alone = [of(policy, one, samples=12)[0] for one in every]
    together = of(policy, *every, samples=12, batch_size=batch_size)
    assert together == pytest.approx(alone, abs=1e-5)
    assert of(policy, *every[::-1], samples=12, batch_size=batch_size)[::-1] == pytest.approx(alone, abs=1e-5)


def test_the_seed_decides_the_masks(policy):
    one = given([7, 1], [2, 3, 4, 5])
    assert of(policy, one, samples=4) == of(policy, one, samples=4)
    assert of(policy, one, samples=4) != of(policy, one, samples=4, seed=1)
