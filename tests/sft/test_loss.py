import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tiny import IDS, tiny_model
from unigrpo.algo.random import key
from unigrpo.config import SFTSection
from unigrpo.data.load import Example
from unigrpo.models import Policy, load_model
from unigrpo.sft.batches import collate
from unigrpo.sft.loop import _backward as backward
from unigrpo.sft.loss import mask_probabilities, sft_loss

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(("stream", "rows"), [("lm", slice(1, 2)), ("mmu", slice(2, 4))])
def test_loss_equals_that_of_the_official_trainer(stream, rows):
    vectors = load_file(GOLDEN / "vectors.safetensors")
    mask_id = json.loads((GOLDEN / "meta.json").read_text())["mask_id"]
    inputs, targets = vectors["sft.input_ids"][rows], vectors["sft.labels"][rows]
    answer = vectors["sft.answer_lengths"][:, 0] if stream == "mmu" else torch.tensor([inputs.shape[1]])
    masked = (inputs == mask_id) & (targets != -100)
    found = sft_loss(
        load_model(GOLDEN), inputs, None, targets, masked, vectors[f"sft.p_mask_{stream}"], answer, len(inputs)
    )
    torch.testing.assert_close(found.detach(), vectors[f"sft.loss_{stream}"][0], atol=1e-4, rtol=0)


def test_with_logits_of_zero_the_expected_loss_is_the_log_of_the_vocabulary():
    model = tiny_model()
    model.transformer.ff_out.weight.data.zero_()
    rows, width = 4000, 5
    tokens = torch.randint(0, 8, (rows, width))
    p = mask_probabilities(torch.tensor(key("p")), rows, True, 1e-3)[:, None].expand(-1, width)
    masked = torch.rand(rows, width, dtype=torch.float64) < p
    lengths = torch.full((rows,), width)
    inputs = tokens.masked_fill(masked, 9)
    found = float(sft_loss(model, inputs, None, tokens, masked, p, lengths, rows).detach())
    assert found == pytest.approx(float(torch.tensor(10.0).log()), rel=0.05)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunks_and_micro_batches_change_neither_loss_nor_gradient(chunk):
    model, tokens = tiny_model(), torch.randint(0, 8, (4, 6), generator=torch.Generator().manual_seed(0))
    masked = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    p, lengths = torch.full((4, 6), 0.5), torch.full((4,), 6)

    def run(parts, size):
        model.zero_grad()
        losses = [
            sft_loss(
                model,
                tokens[rows].masked_fill(masked[rows], 9),
                None,
                tokens[rows],
                masked[rows],
                p[rows],
                lengths[rows],
                4,
                size,
            )
            for rows in parts
        ]
        sum(losses).backward()
        return torch.stack(losses).sum().detach(), model.transformer.wte.weight.grad.clone()

    whole = run([slice(0, 4)], 1000)
    for found, expected in zip(run([slice(0, 1), slice(1, 4)], chunk), whole, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_low_discrepancy_probabilities_visit_each_stratum_once():
    p = mask_probabilities(torch.tensor(key("x")), 8, True, 0.0)
    assert sorted((p * 8).long().tolist()) == list(range(8))
    independent = mask_probabilities(torch.tensor(key("x")), 8, False, 0.0)
    assert len(independent.unique()) == 8
    assert sorted((independent * 8).long().tolist()) != list(range(8))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_batch_costs_what_its_sequences_cost_alone_without_padding(size):
    section = SFTSection(eps=0.5)
    asked = [([1, 2, 3], [5, 6, 8]), ([1], [6, 8]), ([4, 2], [3, 3, 5, 8])]
    rows = [Example(id="x", prompt_tokens=np.array(p), response_tokens=np.array(r)) for p, r in asked]
    batch = collate(rows, section, noise_key=key("batch"), mask_id=9, eos_id=8)
    policy = Policy(tiny_model(), None, IDS)  # pyright: ignore[reportArgumentType]
    expected = 0.0
    for row in range(3):
        seen, masked = batch.key_mask_BT[row], batch.masked_BT[row, batch.key_mask_BT[row]]
        tokens = batch.tokens_BT[row, seen]
        logits = policy.model(tokens.masked_fill(masked, 9)[None]).logits[0, masked]
        total = torch.nn.functional.cross_entropy(logits, tokens[masked], reduction="sum").detach()
        expected += float(total / batch.probability_B[row] / batch.answer_length_B[row] / 3)
    assert not batch.key_mask_BT.all()
    assert backward(policy, batch, size)["loss"] == pytest.approx(expected, rel=1e-5)
