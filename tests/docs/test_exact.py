"""The oracle of the picture of estimators, and that a picture is made."""

import itertools

import pytest

from tests.docs.pages import HOME
from tests.tiny import IDS, scored_group, tiny_model
from unigrpo.batch import make_batches
from unigrpo.config import AlgoSection, NoiseSection


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(HOME / "scripts/docs")


def batch_of(responses):
    scored = scored_group([1, 2], responses, [0.0] * len(responses))
    [batch] = make_batches(scored, len(responses), AlgoSection(), seed=0, ids=IDS)
    return batch


def test_exact_probabilities_of_all_responses_sum_to_one_and_lie_above_the_elbo(scripts):
    from exact import exact_likelihoods

    batch = batch_of([list(pair) for pair in itertools.product(range(9), repeat=2)])
    elbo, logprob = exact_likelihoods(tiny_model(spread=0.35), batch)
    assert float(logprob.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert (elbo <= logprob + 1e-9).all()


def test_estimates_with_uniform_counts_approach_the_exact_elbo(scripts):
    from estimates import estimates
    from exact import exact_likelihoods

    model, batch = tiny_model(spread=0.35), batch_of([[3, 0, 2], [1, 1, 4]])
    algo = AlgoSection(mu=1, noise=NoiseSection(rule="elbo", draws=2))
    found = estimates(model, batch, algo, 1000)
    error = (found.mean(0) - exact_likelihoods(model, batch)[0]).abs()
    assert (error < 4 * found.std(0) / len(found) ** 0.5).all()


def test_pictures_that_need_no_model_are_made(scripts, tmp_path):
    from pictures import masks, objective, ratios

    for make in (masks, ratios, objective):
        make(tmp_path)
    made = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert made.keys() == {"concepts_masks.png", "concepts_ratios.png", "concepts_objective.png"}
    assert all(1000 < size < 100_000 for size in made.values())
