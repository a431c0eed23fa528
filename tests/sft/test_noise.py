import math

import pytest
import torch

from unigrpo.algo.random import key
from unigrpo.config import SFTSection
from unigrpo.sft.noise import dropped, mask_images, mask_text, times


def keys(count):
    return [torch.tensor(key("noise", n)) for n in range(count)]


def test_low_discrepancy_times_visit_each_stratum_once():
    spread = times(torch.tensor(key("x")), 8, True)
    assert sorted((spread * 8).long().tolist()) == list(range(8))
    independent = times(torch.tensor(key("x")), 8, False)
    assert len(independent.unique()) == 8
    assert sorted((independent * 8).long().tolist()) != list(range(8))


def test_text_is_masked_with_the_probability_it_is_weighted_by():
    maskable = torch.ones(4, 50, dtype=torch.bool)
    maskable[:, :10] = False
    ratios = []
    for one in keys(300):
        masked, weight = mask_text(one, maskable, SFTSection())
        assert not masked[:, :10].any()
        p_B = 1 / (weight * 40 * 4)
        ratios.append(masked.sum(-1) - 40 * p_B)
    drift = torch.stack(ratios).flatten()
    assert abs(float(drift.mean())) < 3 * float(drift.std()) / math.sqrt(len(drift))


@pytest.mark.parametrize("low_discrepancy", [True, False])
def test_images_are_masked_by_the_cosine_of_a_uniform_time(low_discrepancy):
    """The share that is masked has the distribution function 1 - (2 / pi) arccos(x), as cos(pi u / 2) has."""
    section = SFTSection(low_discrepancy=low_discrepancy)
    maskable = torch.ones(8, 200, dtype=torch.bool)
    counts = torch.cat([mask_images(one, maskable, section)[0].sum(-1) for one in keys(400)])
    assert 1 <= int(counts.min()) <= int(counts.max()) <= 200
    for share in (0.2, 0.5, 0.8, 0.95):
        below = float((counts / 200 <= share).double().mean())
        assert below == pytest.approx(1 - 2 / math.pi * math.acos(share), abs=0.03)


def test_the_loss_of_images_is_a_mean_over_codes_and_every_code_has_its_turn():
    maskable = torch.zeros(3, 12, dtype=torch.bool)
    maskable[:, 4:10] = True
    drawn = [mask_images(one, maskable, SFTSection()) for one in keys(500)]
    for masked, weight in drawn:
        assert float((masked.sum(-1) * weight).sum()) == pytest.approx(1)
        assert (masked.sum(-1) >= 1).all()
        assert not (masked & ~maskable).any()
    share = torch.stack([masked for masked, _ in drawn]).double().mean(0)[:, 4:10]
    assert (share - 2 / math.pi).abs().max() < 0.08


def test_condition_dropout_is_its_share_and_all_or_none_at_the_ends():
    for share in (0.0, 0.1, 1.0):
        found = [value for one in keys(500) for value in dropped(one, 4, share)]
        assert sum(found) / len(found) == pytest.approx(share, abs=0.02)


def test_time_places_and_conditions_are_drawn_apart():
    one, maskable = torch.tensor(key("apart")), torch.ones(1, 2000, dtype=torch.bool)
    time = times(one, 2000, False)
    places = mask_text(one, maskable, SFTSection(eps=0.5))[0][0].double()
    conditions = torch.tensor(dropped(one, 2000, 0.5)).double()
    correlations = torch.corrcoef(torch.stack([time, places, conditions])) - torch.eye(3)
    assert correlations.abs().max() < 0.07
