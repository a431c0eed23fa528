"""The estimators of configs/ablations, each an overlay of the axes, run through the learner."""

import math
from pathlib import Path

import pytest

from tests.test_learner import first_gradient, learner
from tests.tiny import tiny_batch, tiny_model
from unigrpo.config import TrainConfig
from unigrpo.config.files import shipped_configs
from unigrpo.config.load import load_config
from unigrpo.learner import Reference

OVERLAYS = sorted((shipped_configs() / "ablations").glob("*.yaml"))


def algo_of(overlay: Path):
    return load_config(TrainConfig, [str(overlay)]).algo


def test_every_named_estimator_has_an_overlay():
    named = ["unigrpo_even", "diffu_grpo", "coupled_grpo", "espo", "tracerl", "just_grpo", "spg", "wd1", "gdsd"]
    assert set(named) <= {path.stem for path in OVERLAYS}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_an_overlay_is_at_most_ten_lines_and_says_where_it_comes_from(overlay):
    lines = overlay.read_text().splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_an_estimator_learns_a_batch_it_is_trained_on(overlay):
    """After some steps on one batch, responses of positive advantage have gained on those of negative."""
    algo = algo_of(overlay)
    one = learner(algo, reference=Reference(tiny_model(), algo), lr=3e-3)
    batch = tiny_batch(algo)

    def gap() -> float:
        full = algo_of(OVERLAYS[0].with_name("full_mask.yaml"))
        logprobs = Reference(one.model, full).logprobs([batch])[0][0].sum((1, 2))
        return float((logprobs * batch.advantages_B).sum())

    before = gap()
    for _ in range(8):
        metrics = one.learn([batch])
        assert all(math.isfinite(value) for value in metrics.values())
    assert gap() > before


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_first_update_has_ratio_one_and_no_token_clipped(overlay):
    _, metrics = first_gradient(algo_of(overlay))
    assert metrics["ratio"] == metrics["tokens"]
    assert metrics["clipped"] == 0
