import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.sft.examples import IDS, VOCAB, backward, course_of, drawing, example, kept, learner_of, thought
from tests.tiny import tiny_model
from unigrpo.algo.random import key
from unigrpo.config import SFTSection, StreamSection
from unigrpo.models import Policy, load_model
from unigrpo.sft.batches import collate
from unigrpo.sft.loss import sft_loss
from unigrpo.sft.noise import mask_text
from unigrpo.sft.recipe import Recipe

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(("stream", "rows"), [("t2i", slice(0, 1)), ("lm", slice(1, 2)), ("mmu", slice(2, 4))])
def test_loss_equals_that_of_the_official_trainer(stream, rows):
    """Of images, the official one averages the two visible ends of the image as well, which is but another mask."""
    vectors, meta = load_file(GOLDEN / "vectors.safetensors"), json.loads((GOLDEN / "meta.json").read_text())
    inputs, targets = vectors["sft.input_ids"][rows], vectors["sft.labels"][rows]
    learned = targets != -100
    if stream == "t2i":
        learned[:, : meta["sft"]["t2i_loss_from_index"]] = False
        weight = 1 / learned.sum()[None]
    else:
        learned &= inputs == meta["mask_id"]
        answer = vectors["sft.answer_lengths"][:, 0] if stream == "mmu" else torch.tensor([inputs.shape[1]])
        weight = 1 / (vectors[f"sft.p_mask_{stream}"][:, 0] * answer * len(inputs))
    found = sft_loss(load_model(GOLDEN), inputs, None, targets, learned, weight)
    torch.testing.assert_close(found.detach(), vectors[f"sft.loss_{stream}"][0], atol=1e-4, rtol=0)


def test_with_logits_of_zero_the_expected_loss_is_the_log_of_the_vocabulary():
    model = tiny_model()
    model.transformer.ff_out.weight.data.zero_()
    tokens = torch.randint(0, 8, (4000, 5))
    masked, weight = mask_text(torch.tensor(key("p")), torch.ones(4000, 5, dtype=torch.bool), SFTSection())
    found = float(sft_loss(model, tokens.masked_fill(masked, 9), None, tokens, masked, weight).detach())
    assert found == pytest.approx(math.log(10), rel=0.05)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunks_and_micro_batches_change_neither_loss_nor_gradient(chunk):
    model, tokens = tiny_model(), torch.randint(0, 8, (4, 6), generator=torch.Generator().manual_seed(0))
    masked = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)

    def run(parts, size):
        model.zero_grad()
        hidden = tokens.masked_fill(masked, 9)
        losses = [sft_loss(model, hidden[rows], None, tokens[rows], masked[rows], weight[rows], size) for rows in parts]
        sum(losses).backward()
        return torch.stack(losses).sum().detach(), model.transformer.wte.weight.grad.clone()

    whole = run([slice(0, 4)], 1000)
    for found, expected in zip(run([slice(0, 1), slice(1, 4)], chunk), whole, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def course(streams, micro_batch):
    """A run without choices."""
    return course_of(streams, dict.fromkeys(streams, StreamSection()), micro_batch)


ROWS = {
    "text": [example([1, 2, 3], [5, 6, 8]), example([1], [6, 8]), example([4, 2], [3, 3, 5, 8])],
    "image": [drawing([1, 2], [16, 17, 18]), drawing([3], [19, 20, 21]), drawing([4, 4, 4], [22, 23, 16])],
    "think_image": [thought([1, 2], [5], [16, 17]), thought([3], [5, 6, 4], [18, 19]), thought([], [], [20, 21])],
}


def alone(policy, tokens, masked):
    """The cross-entropy of the masked tokens of one sequence without padding."""
    logits = policy.model(tokens.masked_fill(masked, 9)[None]).logits[0, masked]
    return torch.nn.functional.cross_entropy(logits, tokens[masked], reduction="sum").detach()


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("task", ROWS)
def test_a_batch_costs_what_its_sequences_cost_alone_without_padding(task, size):
    section = SFTSection(eps=0.5, condition_dropout=0.3)
    policy = Policy(tiny_model(vocab=VOCAB), None, IDS)  # pyright: ignore[reportArgumentType]
    stream, recipe = kept(ROWS[task], 3, seed=5), Recipe(section=section, ids=IDS)
    batch, expected = recipe.batch(stream.batches.samples(0)), 0.0
    for row in range(3):
        seen = batch.key_mask_BT[row]
        expected += float(alone(policy, batch.tokens_BT[row, seen], batch.masked_BT[row, seen]) * batch.weight_B[row])
    assert not batch.key_mask_BT.all()
    found = backward(learner_of(policy.model, {"": recipe}), course({"": stream}, size))
    assert found == {"loss": pytest.approx(expected, rel=1e-5), "samples": 3}


def test_the_loss_of_a_drawing_is_the_mean_over_its_masked_codes():
    policy = Policy(tiny_model(vocab=VOCAB), None, IDS)  # pyright: ignore[reportArgumentType]
    batch = collate(ROWS["image"], SFTSection(condition_dropout=0.0), IDS, noise_key=key("mean"))
    total, count = 0.0, 0
    for example_, tokens, masked in zip(ROWS["image"], batch.tokens_BT, batch.masked_BT, strict=True):
        length = len(example_.prompt_tokens) + len(example_.image_tokens)
        total += float(alone(policy, tokens[:length], masked[:length]))
        count += int(masked.sum())
    inputs = batch.tokens_BT.masked_fill(batch.masked_BT, 9)
    found = sft_loss(policy.model, inputs, batch.key_mask_BT, batch.tokens_BT, batch.masked_BT, batch.weight_B)
    assert float(found.detach()) == pytest.approx(total / count, rel=1e-5)


def test_streams_add_up_by_their_coefficients():
    factors = {"text": 0.6, "image": 0.05, "think_image": 2.0}
    streams = {task: kept(rows, 3, seed=1) for task, rows in ROWS.items()}
    recipes = {task: Recipe(section=SFTSection(), ids=IDS, coefficient=factors[task]) for task in ROWS}
    model = tiny_model(vocab=VOCAB)
    learner = learner_of(model, recipes)

    def gradient(chosen):
        model.zero_grad()
        losses = backward(learner, course(chosen, 2), 3)
        return losses, torch.cat([p.grad.flatten() for p in model.parameters()])

    losses, together = gradient(streams)
    parts = {name: gradient({name: stream}) for name, stream in streams.items()}
    torch.testing.assert_close(together, sum(grad for _, grad in parts.values()), atol=1e-6, rtol=1e-4)
    for name, (found, _) in parts.items():
        assert losses[f"loss/{name}"] == found[f"loss/{name}"] == pytest.approx(found["loss"] / factors[name])
    assert losses["loss"] == pytest.approx(sum(factors[name] * losses[f"loss/{name}"] for name in factors))
