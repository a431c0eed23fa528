"""MaskGIT decoding against the official code's vectors, published schedules, and its properties."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rollout.image import decode
from rollout.schedule import choice_temperatures, masked_shares
from tests.tiny import tiny_model
from unigrpo.algo.likelihood import guided_logits, pad_free_positions
from unigrpo.config import ImageSamplingSection
from unigrpo.models import load_model
from unigrpo.types import Support

GOLDEN = Path(__file__).parents[1] / "golden"
META = json.loads((GOLDEN / "meta.json").read_text())
CODES = Support(start=300, stop=364)
PLACE = slice(10, 26)
SMALL = Support(start=10, stop=26)
MASK = 9


@pytest.fixture(scope="module")
def vectors():
    return load_file(GOLDEN / "vectors.safetensors")


@pytest.fixture(scope="module")
def golden_model():
    return load_model(GOLDEN)


def both(vectors):
    return [(vectors[f"t2i.{name}_ids"], vectors[f"t2i.{name}_key_mask"]) for name in ("cond", "uncond")]


@pytest.mark.parametrize("index", range(2))
def test_first_logits_equal_the_official_ones_guided_and_not(vectors, golden_model, index):
    logits = []
    for ids, mask in both(vectors):
        hidden = golden_model.hidden_states(ids, mask, pad_free_positions(mask))[:, PLACE]
        logits.append(golden_model.head_logits(hidden, CODES))
    scale = META["t2i"][index]["guidance"]
    found = guided_logits(logits[0], logits[1], scale) if scale else logits[0]
    torch.testing.assert_close(found, vectors[f"t2i.{index}.first_step_logits"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("index", range(4))
def test_greedy_codes_equal_the_official_sampler(vectors, golden_model, index):
    given = META["t2i_greedy"][index]
    settings = ImageSamplingSection(
        steps=given["steps"],
        guidance=given["guidance"],
        schedule=given["schedule"],
        temperature=0.0,
        choice_temperature=0.0,
    )
    (ids, mask), unguided = both(vectors)
    keys = torch.zeros(len(ids), dtype=torch.long)
    codes, commit, *_ = decode(golden_model, ids, mask, PLACE, keys, settings, META["mask_id"], CODES, unguided)
    assert torch.equal(codes - META["image_offset"], vectors[f"t2i.greedy.{index}.codes"])
    assert commit.min() == 0
    assert commit.max() == given["steps"] - 1


def left(tokens, steps):
    """Codes still masked after each step, as the sampler counts them."""
    shares = masked_shares(ImageSamplingSection(steps=steps))
    return [max(1, int(torch.tensor(float(tokens)) * share)) for share in shares[:-1]]


@pytest.mark.parametrize(
    ("tokens", "counts"),
    [
        (1024, "1015 989 946 886 812 724 623 511 391 265 133"),
        (1024, "1018 1001 973 935 886 828 760 685 601 511 416 316 212 107"),
        (1024, "1020 1008 989 962 928 886 838 784 724 658 587 511 432 350 265 177 89"),
        (1024, "1020 1011 995 973 946 912 873 828 778 724 665 601 535 464 391 316 239 160 80"),
        (256, "254 250 243 233 221 207 190 171 150 127 104 79 53 26"),
    ],
)
def test_cosine_counts_are_the_published_ones(tokens, counts):
    wanted = [int(count) for count in counts.split()]
    assert left(tokens, len(wanted) + 1) == wanted


def test_compound_noise_is_the_published_one_and_linear_noise_fades_evenly():
    wanted = [0.9333, 0.8089, 0.6471, 0.4745, 0.3164, 0.1898, 0.1012, 0.0472, 0.0189, 0.0063, 0.0017, 0.0003, 0, 0, 0]
    settings = ImageSamplingSection(steps=15, choice_schedule="compound")
    assert choice_temperatures(settings) == pytest.approx(wanted, abs=5e-5)
    linear = choice_temperatures(replace(settings, choice_schedule="linear", choice_temperature=2.0))
    assert linear == pytest.approx([2 * (1 - step / 15) for step in range(1, 16)])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "pow", "sigmoid"])
def test_every_schedule_falls_from_one_to_zero(schedule):
    shares = masked_shares(ImageSamplingSection(steps=50, schedule=schedule))
    assert all(before > after for before, after in itertools.pairwise(shares))
    assert shares[0] > 0.9
    assert shares[-1] == 0


@pytest.mark.parametrize(
    ("schedule", "power", "shares"),
    [("linear", 2.0, [0.75, 0.5, 0.25]), ("pow", 2.0, [0.9375, 0.75, 0.4375]), ("pow", 1.0, [0.75, 0.5, 0.25])],
)
def test_schedules_have_their_closed_forms(schedule, power, shares):
    found = masked_shares(ImageSamplingSection(steps=4, schedule=schedule, power=power))
    assert found == pytest.approx([*shares, 0.0])


def test_the_sigmoid_schedule_is_a_half_in_the_middle():
    assert masked_shares(ImageSamplingSection(steps=4, schedule="sigmoid"))[1] == pytest.approx(0.5)


def canvas(rows=3, size=6, known=()):
    tokens = torch.full((rows, 4 + size + 1), MASK)
    tokens[:, :4] = torch.arange(rows * 4).view(rows, 4) % 7
    tokens[:, -1] = 8
    for row, slot, code in known:
        tokens[row, 4 + slot] = code
    return tokens


def drawn(tokens, settings, keys=None, size=6, **more):
    keys = torch.arange(len(tokens)) if keys is None else keys
    visible = more.pop("visible", torch.ones_like(tokens, dtype=torch.bool))
    place = slice(tokens.shape[1] - size - 1, tokens.shape[1] - 1)
    return decode(tiny_model(vocab=26), tokens, visible, place, keys, settings, MASK, SMALL, **more)[:2]


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 20])
@pytest.mark.parametrize("size", [1, 6])
def test_every_slot_is_filled_from_the_codes_however_many_steps_there_are(steps, size):
    codes, commit = drawn(canvas(size=size), ImageSamplingSection(steps=steps), size=size)
    assert ((codes >= 10) & (codes < 26)).all()
    assert ((commit >= 0) & (commit < steps)).all()


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_known_codes_are_kept_and_rows_may_have_different_numbers_of_them(guidance):
    known = [(0, 0, 11), (0, 5, 12), *((1, slot, 13) for slot in range(6))]
    tokens = canvas(known=known)
    blind = tokens.clone(), torch.ones_like(tokens, dtype=torch.bool)
    codes, commit = drawn(tokens, ImageSamplingSection(steps=4, guidance=guidance), unguided=blind)
    for row, slot, code in known:
        assert codes[row, slot] == code
        assert commit[row, slot] == -1
    assert (codes != MASK).all()
    assert ((commit == -1).sum(-1) == torch.tensor([2, 6, 0])).all()


def test_codes_that_stay_are_counted_by_the_schedule_and_never_change_again():
    seen = []
    codes, commit = drawn(canvas(), ImageSamplingSection(steps=4), callback=lambda step, ids: seen.append(ids.clone()))
    assert [(ids == MASK).sum(-1).tolist() for ids in seen] == [[5] * 3, [4] * 3, [2] * 3, [0] * 3]
    for step, ids in enumerate(seen):
        stays = ids != MASK
        assert torch.equal(stays, commit <= step)
        assert torch.equal(ids[stays], codes[stays])


def test_a_picture_does_not_depend_on_its_neighbours_nor_on_pads():
    settings = ImageSamplingSection(steps=3, guidance=1.0)
    tokens, keys = canvas(), torch.tensor([5, 6, 7])
    blind = tokens.clone()
    blind[:, :4] = 0
    padded = torch.nn.functional.pad(tokens, (3, 0), value=8)
    visible = torch.nn.functional.pad(torch.ones_like(tokens, dtype=torch.bool), (3, 0), value=False)
    whole, _ = drawn(tokens, settings, keys, unguided=(blind, torch.ones_like(tokens, dtype=torch.bool)))
    for row in range(3):
        one = slice(row, row + 1)
        unguided = torch.nn.functional.pad(blind[one], (3, 0), value=8), visible[one]
        alone, _ = drawn(padded[one], settings, keys[one], visible=visible[one], unguided=unguided)
        assert torch.equal(alone, whole[one])


def test_guidance_of_zero_is_no_guidance_and_another_scale_is_seen():
    tokens = canvas(rows=8)
    blind = torch.roll(tokens, 1, 0), torch.ones_like(tokens, dtype=torch.bool)
    plain, _ = drawn(tokens, ImageSamplingSection(steps=3))
    zero, _ = drawn(tokens, ImageSamplingSection(steps=3, guidance=0.0), unguided=blind)
    strong, _ = drawn(tokens, ImageSamplingSection(steps=3, guidance=4.0), unguided=blind)
    assert torch.equal(plain, zero)
    assert not torch.equal(plain, strong)


def test_guidance_without_rows_to_start_from_is_refused():
    with pytest.raises(ValueError, match=r"guidance is 2\.0, but there are no rows with an empty prompt"):
        drawn(canvas(), ImageSamplingSection(steps=3, guidance=2.0))


def test_codes_are_drawn_from_the_models_distribution_at_the_temperature():
    """One slot, one step: frequencies over many keys against the softmax of the logits."""
    tokens = canvas(rows=1, size=1).expand(4000, -1)
    codes, _ = drawn(tokens, ImageSamplingSection(steps=1, temperature=0.7), size=1)
    model = tiny_model(vocab=26)
    expected = (model(tokens[:1]).logits[0, 4, 10:] / 0.7).softmax(-1).detach()
    found = torch.bincount(codes[:, 0] - 10, minlength=16) / len(codes)
    torch.testing.assert_close(found, expected, atol=0.025, rtol=0)


def test_same_keys_give_the_same_picture_and_others_another():
    settings = ImageSamplingSection(steps=3)
    tokens = canvas(rows=1).expand(20, -1)
    codes, _ = drawn(tokens, settings, torch.arange(20))
    again, _ = drawn(tokens, settings, torch.arange(20))
    assert torch.equal(codes, again)
    assert len({tuple(row) for row in codes.tolist()}) > 15
