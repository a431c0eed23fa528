"""Conformance through the trainer: its batches, its weights, its sum and its parts of a step."""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.sft.examples import IDS, VOCAB, backward, course_of, drawing, example, kept, learner_of
from tests.tiny import gradients, tiny_model
from unigrpo.config import SFTSection, StreamSection
from unigrpo.models import IdTable, load_model
from unigrpo.sft.batches import SFTBatch, collate
from unigrpo.sft.loss import learned
from unigrpo.sft.noise import image_weights, text_weights
from unigrpo.sft.recipe import Recipe, Samples
from unigrpo.sft.streams import Stream
from unigrpo.sft.turns import Turns

GOLDEN = Path(__file__).parents[1] / "golden"
TABLE = IdTable(mask=299, eos=1, pad=1, bos=0, soi=2, eoi=3, text_vocab=300, image_offset=300, codebook_size=64)
ROWS = {"t2i": slice(0, 1), "lm": slice(1, 2), "mmu": slice(2, 4)}
FACTORS = {"t2i": 1.0, "lm": 0.1, "mmu": 0.5}


@dataclass(frozen=True)
class Recorded:
    """A stream and its recipe in one, of the same batch each time."""

    only: SFTBatch
    coefficient: float
    ends: bool

    @property
    def size(self) -> int:
        return len(self.only)

    def samples(self, step: int) -> Samples:
        return Samples(items=[], noise_key=0)

    def batch(self, samples: Samples) -> SFTBatch:
        weight = image_weights(learned(self.only, TABLE, True)) if self.ends else self.only.weight_B
        return replace(self.only, weight_B=weight)


def course(streams, micro_batch=3, accumulation=1, sections=None):
    return course_of(streams, sections or dict.fromkeys(streams, StreamSection()), micro_batch, accumulation)


def recorded(stream: str) -> SFTBatch:
    """The official trainer's sequences as ours lays them out, with its masks and probabilities instead of our draws."""
    vectors = load_file(GOLDEN / "vectors.safetensors")
    inputs, labels = vectors["sft.input_ids"][ROWS[stream]], vectors["sft.labels"][ROWS[stream]]
    masked = inputs == TABLE.mask
    tokens = torch.where(masked, labels, inputs)
    given = torch.zeros_like(masked)
    if stream == "mmu":
        given = vectors["sft.mmu_prompt_mask"]
    if stream == "t2i":
        given[:, : int((inputs == TABLE.soi).long().argmax()) + 1] = True
    starts = given.sum(-1).tolist()
    rows = [
        example(row[:start], *(((), row[start:], "image") if stream == "t2i" else (row[start:],)))
        for row, start in zip(tokens.tolist(), starts, strict=True)
    ]
    width = tokens.shape[1]
    section = SFTSection(condition_dropout=0.0, max_length=width)
    batch = collate(rows, section, TABLE, noise_key=0, pad_to=None if stream == "t2i" else width)
    assert torch.equal(batch.tokens_BT, tokens)
    if stream == "t2i":
        return replace(batch, masked_BT=masked, weight_B=image_weights(masked))
    return replace(batch, masked_BT=masked, weight_B=text_weights(vectors[f"sft.p_mask_{stream}"][:, 0], ~given))


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_a_step_of_the_trainer_has_the_losses_of_the_official_one_and_their_sum(micro_batch):
    vectors = load_file(GOLDEN / "vectors.safetensors")
    recipes = {name: Recorded(recorded(name), FACTORS[name], ends=name == "t2i") for name in ROWS}
    streams = {name: Stream(recipe) for name, recipe in recipes.items()}  # pyright: ignore[reportArgumentType]
    learner = learner_of(load_model(GOLDEN), recipes, ids=TABLE)  # pyright: ignore[reportArgumentType]
    found = backward(learner, course(streams, micro_batch=micro_batch))
    expected = {name: float(vectors[f"sft.loss_{name}"][0]) for name in ROWS}
    for name, loss in expected.items():
        assert found[f"loss/{name}"] == pytest.approx(loss, abs=1e-4)
    assert found["loss"] == pytest.approx(sum(FACTORS[name] * loss for name, loss in expected.items()), abs=1e-4)
    assert found["samples"] == 4


def test_plain_text_is_a_response_without_a_prompt_of_which_every_token_may_be_masked():
    """Its weight is CE / p over rows and length, as the official trainer has it for its first stages."""
    rows = [example([], [1, 2, 3, 4]), example([], [5, 6, 2, 8])]
    batches = [collate(rows, SFTSection(), IDS, noise_key=noise) for noise in range(60)]
    assert torch.stack([batch.masked_BT for batch in batches]).any(0).all()
    assert torch.equal(
        text_weights(torch.tensor([0.5, 0.25]), torch.ones(2, 4, dtype=torch.bool)), torch.tensor([0.25, 0.5])
    )


def test_the_ends_of_an_image_are_averaged_in_only_where_that_is_asked():
    model = tiny_model(vocab=VOCAB)
    stream = kept([drawing([1, 2], [16, 17, 18]), drawing([3], [19, 20, 21])], 2, seed=1)
    recipe = Recipe(section=SFTSection(condition_dropout=0.0), ids=IDS)
    batch = recipe.batch(stream.batches.samples(0))
    hidden = batch.tokens_BT.masked_fill(batch.masked_BT, IDS.mask)
    logits = model(hidden, batch.key_mask_BT).logits.transpose(1, 2)
    cost_BT = torch.nn.functional.cross_entropy(logits, batch.tokens_BT, reduction="none").detach()
    ends_BT = (batch.tokens_BT == IDS.soi) | (batch.tokens_BT == IDS.eoi)
    assert ends_BT.sum() == 4
    for ends, expected in ((False, batch.masked_BT), (True, batch.masked_BT | ends_BT)):
        learner = learner_of(model, {"draw": replace(recipe, ends=ends)})
        found = backward(learner, course({"draw": stream}, micro_batch=1))
        assert found["loss"] == pytest.approx(float(cost_BT[expected].mean()), rel=1e-5)


def texts(seed: int, size: int = 2) -> Stream:
    numbers = np.random.default_rng(seed)
    rows = [example([1], numbers.integers(0, 7, 5).tolist()) for _ in range(12)]
    return kept(rows, size, seed)


TEXT = Recipe(section=SFTSection(), ids=IDS, coefficient=0.5)


def test_a_step_of_several_batches_is_the_mean_of_steps_of_one():
    model, streams = tiny_model(vocab=VOCAB), {"a": texts(0), "b": texts(1)}

    def run(accumulation, step):
        model.zero_grad()
        learner = learner_of(model, dict.fromkeys(streams, TEXT), accumulation)
        return backward(learner, course(streams, accumulation=accumulation), step), gradients(model)

    whole, together = run(3, 1)
    parts = [run(1, number) for number in (3, 4, 5)]
    torch.testing.assert_close(together, sum(grad for _, grad in parts) / 3, atol=1e-6, rtol=1e-4)
    for name in ("loss", "loss/a", "loss/b"):
        assert whole[name] == pytest.approx(sum(found[name] for found, _ in parts) / 3)
    assert whole["samples"] == 12


CHOICE = {
    "draw": StreamSection(),
    "web": StreamSection(one_of="lm", weight=0.02),
    "chat": StreamSection(one_of="lm", weight=0.98),
    **{name: StreamSection(one_of="mmu", weight=w) for name, w in (("cot", 3.5), ("llava", 5.5), ("geo", 1.0))},
}


def test_of_a_choice_each_batch_has_one_by_its_weight_and_each_stream_gets_its_batches_in_order():
    turns, had = Turns(CHOICE, 7), Counter()
    for number in range(6000):
        drawn = turns.of(number)
        assert drawn["draw"] == number
        assert len(drawn) == 3
        for name, index in drawn.items():
            assert index == had[name]
            had[name] += 1
    assert had["web"] / 6000 == pytest.approx(0.02, abs=0.006)
    assert had["llava"] / 6000 == pytest.approx(0.55, abs=0.02)
    assert had["cot"] / 6000 == pytest.approx(0.35, abs=0.02)


def test_turns_are_a_function_of_seed_and_number_alone():
    whole = Turns(CHOICE, 3)
    expected = [whole.of(number) for number in range(300)]
    resumed = Turns(CHOICE, 3)
    assert [resumed.of(number) for number in range(200, 300)] == expected[200:]
    assert resumed.of(5) == expected[5]
    upcoming = Turns(CHOICE, 3).upcoming(200)
    for name in CHOICE:
        assert upcoming[name] == next(drawn[name] for drawn in [*expected[200:], upcoming] if name in drawn)
    assert [Turns(CHOICE, 4).of(number) for number in range(50)] != expected[:50]


def test_a_stream_that_is_not_drawn_costs_nothing_in_that_step():
    learner = learner_of(tiny_model(vocab=VOCAB), {"a": TEXT, "b": TEXT})
    streams, sections = {"a": texts(0), "b": texts(1)}, {name: StreamSection(one_of="x") for name in ("a", "b")}
    made = course(streams, sections=sections)
    for step in range(4):
        found, [name] = backward(learner, made, step), made.turns.of(step)
        assert found == {"loss": found["loss"], f"loss/{name}": pytest.approx(found["loss"] / 0.5), "samples": 2}


def test_the_vectors_are_of_the_settings_that_are_published():
    assert json.loads((GOLDEN / "meta.json").read_text())["sft"]["t2i_loss_from_index"] == 9
