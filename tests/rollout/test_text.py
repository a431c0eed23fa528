import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rollout.sampler import Sampler, response_length
from rollout.text import denoise
from tests.tiny import IDS, SUPPORT, tiny_model
from unigrpo.algo.random import key
from unigrpo.config import SamplingSection
from unigrpo.learner import Weights
from unigrpo.models import Policy, load_model
from unigrpo.summary import summarize
from unigrpo.types import Prompt, Scored, Support

GOLDEN = Path(__file__).parents[1] / "golden"
SETTINGS = SamplingSection(gen_length=8, block_length=4, early_stop=False)


class Letters:
    """The least a sampler asks of a tokenizer."""

    def decode(self, ids, skip_special_tokens):
        return "".join(chr(97 + int(i)) for i in ids)


def prompts(*lengths):
    return [Prompt(id=str(n), task="text", text="", tokens=np.arange(n) % 7) for n in lengths]


ENDLESS = replace(IDS, eos=100, pad=9)
"""Ids of a model that cannot end a response."""


def sampler(settings=SETTINGS, seed=0, ids=IDS):
    return Sampler(Policy(tiny_model(), Letters(), ids), settings, seed)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("index", range(5))
def test_greedy_ids_equal_the_official_sampler(index):
    vectors = load_file(GOLDEN / "vectors.safetensors")
    given = json.loads((GOLDEN / "meta.json").read_text())["text_generate"][index]
    settings = SamplingSection(
        gen_length=given["gen_length"],
        block_length=given["block_length"],
        steps=given["steps"],
        temperature=0.0,
        guidance=given["cfg_scale"],
    )
    prompt = vectors["text.prompt"]
    response, commit, *_ = denoise(
        load_model(GOLDEN),
        prompt,
        torch.ones_like(prompt, dtype=torch.bool),
        torch.zeros(len(prompt), dtype=torch.long),
        settings,
        mask_id=299,
        support=Support(start=0, stop=364),
    )
    assert torch.equal(torch.cat([prompt, response], 1), vectors[f"text.{index}.output"])
    assert (commit >= 0).all()
    assert commit.max() == given["steps"] - 1


@pytest.mark.parametrize("confidence", ["confidence", "margin", "entropy", "random"])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_no_mask_is_left_and_none_outside_the_support_is_drawn(confidence, threshold):
    settings = replace(SETTINGS, confidence=confidence, threshold=threshold)
    for rollout in sampler(settings).sample(prompts(3, 5), 4, 0):
        assert rollout.tokens.max() < 9
        assert (rollout.commit_step >= 0).all()


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_a_sample_does_not_depend_on_its_batch(threshold):
    settings = replace(SETTINGS, threshold=threshold)
    group = sampler(settings).sample(prompts(3, 6, 4), 5, step=7)
    alone = sampler(replace(settings, batch_size=1)).sample(prompts(6), 5, step=7)
    for a, b in zip(group[5:10], alone, strict=True):
        assert a.id == b.id
        assert np.array_equal(a.tokens, b.tokens)
        assert np.array_equal(a.commit_step, b.commit_step)


def test_samples_differ_by_seed_step_prompt_and_index():
    def drawn(seed, step, name):
        return [tuple(r.tokens) for r in sampler(seed=seed).sample(prompts(name), 2, step)]

    seen = drawn(0, 0, 3) + drawn(1, 0, 3) + drawn(0, 1, 3) + drawn(0, 0, 4)
    assert len(set(seen)) == 8


def test_left_padding_does_not_leak():
    model, prompt = tiny_model(), torch.tensor([[1, 2, 3]])
    keys = torch.tensor([key("x")])
    plain = denoise(model, prompt, torch.ones(1, 3, dtype=torch.bool), keys, SETTINGS, 9, SUPPORT)
    for filler in (0, 5, 8):
        padded = torch.cat([torch.full((1, 4), filler), prompt], 1)
        visible = torch.tensor([[False] * 4 + [True] * 3])
        found = denoise(model, padded, visible, keys, SETTINGS, 9, SUPPORT)
        assert torch.equal(found.tokens_BC, plain.tokens_BC)
        assert torch.equal(found.commit_BC, plain.commit_BC)
        torch.testing.assert_close(found.logprobs_BC, plain.logprobs_BC)


def test_blocks_are_denoised_from_left_to_right():
    for rollout in sampler(ids=ENDLESS).sample(prompts(3), 6, 0):
        assert rollout.commit_step[:4].max() < rollout.commit_step[4:].min()


def test_a_finished_response_stops_after_its_block_and_does_not_change():
    full = sampler(replace(SETTINGS, eos_tail=0)).sample(prompts(3, 4), 40, 0)
    early = sampler(replace(SETTINGS, eos_tail=0, early_stop=True)).sample(prompts(3, 4), 40, 0)
    assert any(not a.truncated and len(a.tokens) <= 4 for a in full)
    for a, b in zip(full, early, strict=True):
        assert np.array_equal(a.tokens, b.tokens)


def test_one_position_is_drawn_from_the_softmax_at_its_temperature():
    model, settings = tiny_model(spread=0.3), SamplingSection(gen_length=1, block_length=1, temperature=1.5)
    rows = 20_000
    prompt = torch.tensor([[1, 2]]).repeat(rows, 1)
    keys = torch.tensor([key("draw", row) for row in range(rows)])
    response, *_ = denoise(model, prompt, torch.ones_like(prompt, dtype=torch.bool), keys, settings, 9, SUPPORT)
    logits = model(torch.tensor([[1, 2, 9]])).logits[0, 2, :9].detach().double()
    expected = (logits / 1.5).softmax(-1) * rows
    counts = response[:, 0].bincount(minlength=9).double()
    assert float(((counts - expected) ** 2 / expected).sum()) < 26.1  # 0.999 quantile, 8 degrees of freedom


def test_guidance_zero_is_no_guidance_and_guidance_changes_the_draw():
    def drawn(guidance):
        return [tuple(r.tokens) for r in sampler(replace(SETTINGS, guidance=guidance)).sample(prompts(3), 8, 0)]

    assert drawn(0.0) == drawn(0.0)
    assert drawn(0.0) != drawn(3.0)


def test_threshold_decoding_commits_all_confident_tokens_at_once():
    one = sampler(replace(SETTINGS, threshold=1e-6), ids=ENDLESS)
    assert [rollout.commit_step.max() for rollout in one.sample(prompts(3), 3, 0)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("tokens", "tail", "length", "ended"),
    [
        ([1, 2, 3], 1, 3, False),
        ([1, 8, 8, 8], 1, 3, True),
        ([1, 8, 8, 8], 0, 2, True),
        ([8, 3, 8], 1, 1, True),
        ([1, 2, 8], 2, 3, True),
    ],
)
def test_a_response_ends_after_the_first_end_of_sequence_and_its_tail(tokens, tail, length, ended):
    assert response_length(np.array(tokens), 8, tail) == (length, ended)


def blank(model, prompt, width):
    """Log-probabilities of a fully masked response after a prompt, over the support."""
    ids = torch.cat([prompt, torch.full((1, width), 9)], 1)
    return model(ids).logits[0, -width:, :9].detach().double().log_softmax(-1)


@pytest.mark.parametrize("kind", ["confidence", "margin", "entropy"])
def test_the_most_confident_position_is_committed_first(kind):
    settings = replace(SETTINGS, gen_length=6, block_length=6, temperature=0.0, confidence=kind)
    model = tiny_model(spread=0.4)
    for pair in range(64):
        prompt = torch.tensor([[pair // 8, pair % 8, 5]])
        _, commit, *_ = denoise(
            model, prompt, torch.ones(1, 3, dtype=torch.bool), torch.tensor([0]), settings, 9, SUPPORT
        )
        logprobs = blank(model, prompt, 6)
        best = logprobs.exp().sort(-1, descending=True).values
        expected = {
            "confidence": best[:, 0],
            "margin": best[:, 0] - best[:, 1],
            "entropy": (logprobs.exp() * logprobs).sum(-1),
        }[kind]
        assert commit[0].argmin() == expected.argmax()


def test_two_positions_are_drawn_from_the_exact_distribution_of_the_procedure():
    """Both are drawn, the more confident one stays, the other is drawn again: no noise is used twice."""
    model, settings = tiny_model(spread=0.3), SamplingSection(gen_length=2, block_length=2)
    prompt, rows = torch.tensor([[1, 2]]), 20_000
    first = blank(model, prompt, 2).exp()
    expected = torch.zeros(9, 9, dtype=torch.float64)
    for a in range(9):
        ids = torch.tensor([[1, 2, a, 9], [1, 2, 9, a]])
        then = model(ids).logits[:, 2:, :9].detach().double().softmax(-1)
        stays_left = first[0, a] * first[1][first[1] <= first[0, a]].sum()
        stays_right = first[1, a] * first[0][first[0] < first[1, a]].sum()
        expected[a] += stays_left * then[0, 1]
        expected[:, a] += stays_right * then[1, 0]
    keys = torch.tensor([key("pair", row) for row in range(rows)])
    visible = torch.ones(rows, 2, dtype=torch.bool)
    found, *_ = denoise(model, prompt.repeat(rows, 1), visible, keys, settings, 9, SUPPORT)
    counts = (found[:, 0] * 9 + found[:, 1]).bincount(minlength=81).double()
    chi2 = ((counts - expected.flatten() * rows) ** 2 / (expected.flatten() * rows)).sum()
    assert float(chi2) < 125  # 0.999 quantile, 80 degrees of freedom


def test_a_support_that_does_not_start_at_zero_is_kept_to():
    keys, prompt = torch.arange(50), torch.tensor([[1, 2]]).repeat(50, 1)
    visible = torch.ones_like(prompt, dtype=torch.bool)
    found, *_ = denoise(tiny_model(), prompt, visible, keys, SETTINGS, 9, Support(start=3, stop=7))
    assert found.unique().tolist() == [3, 4, 5, 6]


def test_how_many_logits_exist_at_one_time_changes_no_sample(monkeypatch):
    settings = replace(SETTINGS, confidence="random")
    whole = sampler(settings).sample(prompts(3, 4), 3, 0)
    monkeypatch.setattr("rollout.draw.ELEMENTS_AT_ONCE", 20)
    for a, b in zip(sampler(settings).sample(prompts(3, 4), 3, 0), whole, strict=True):
        assert np.array_equal(a.tokens, b.tokens)
        assert np.array_equal(a.commit_step, b.commit_step)


def test_a_temperature_of_its_own_replaces_that_of_the_settings_and_is_recorded():
    found = sampler(replace(SETTINGS, temperature=5.0)).sample(prompts(3), 2, 0, temperature=0.0)
    greedy = sampler(replace(SETTINGS, temperature=0.0)).sample(prompts(3), 2, 0)
    assert [a.tokens.tolist() for a in found] == [b.tokens.tolist() for b in greedy]
    assert {a.sampling.temperature for a in found} == {0.0}


def test_the_output_is_the_text_before_the_end_and_the_weights_are_those_that_were_loaded():
    one, other = sampler(seed=1), sampler(seed=1)
    other.policy.model.load_state_dict(tiny_model(seed=3).state_dict())
    one.load(Weights(version=4, tensors=other.policy.model.state_dict()))
    for a, b in zip(one.sample(prompts(3), 20, 0), other.sample(prompts(3), 20, 0), strict=True):
        assert np.array_equal(a.tokens, b.tokens)
        assert a.output == "".join(chr(97 + i) for i in a.tokens if i != IDS.eos)
        assert a.policy_version == 4


@pytest.mark.parametrize(("batch_size", "parts"), [(64, [5]), (8, [2, 2, 1]), (3, [1] * 5)])
def test_a_stream_draws_the_same_rollouts_in_parts_of_whole_groups(batch_size, parts):
    asked = prompts(3, 7, 2, 6, 5)
    one = sampler(replace(SETTINGS, batch_size=batch_size))
    streamed = list(one.stream(asked, 4, 2))
    assert [len(part) for part in streamed] == [4 * size for size in parts]
    assert all(
        len({rollout.prompt.id for rollout in part[at : at + 4]}) == 1
        for part in streamed
        for at in (0, 4)[: len(part) // 4]
    )
    found = {rollout.id: rollout.tokens.tolist() for part in streamed for rollout in part}
    assert found == {rollout.id: rollout.tokens.tolist() for rollout in one.sample(asked, 4, 2)}


@pytest.mark.parametrize(
    "adaptive",
    [{}, {"threshold": 0.5}, {"confidence": "entropy", "entropy_bound": 0.1}],
    ids=lambda fields: str(fields),
)
def test_a_model_that_has_broken_down_answers_all_the_same(adaptive):
    model, steps, prompt = tiny_model(), [], torch.tensor([[1, 2]])
    torch.nn.init.constant_(model.get_output_embeddings().weight, float("nan"))

    def watched(ids):
        steps.append(ids)
        assert len(steps) <= SETTINGS.gen_length

    settings, visible = replace(SETTINGS, **adaptive), torch.ones_like(prompt, dtype=torch.bool)
    found = denoise(model, prompt, visible, torch.tensor([0]), settings, 9, SUPPORT, callback=watched)
    assert (found.commit_BC >= 0).all()


@pytest.mark.parametrize(
    "fields", [{}, {"threshold": 0.3}, {"steps": 4}, {"early_stop": True}, {"guidance": 1.0}], ids=str
)
def test_a_rollout_says_how_many_forwards_it_took_though_it_ended_before(fields):
    asked, settings = prompts(3, 5, 4), replace(SETTINGS, **fields)
    together = sampler(settings).sample(asked, 9, 0)
    alone, calls = sampler(replace(settings, batch_size=1)), []
    alone.policy.model.transformer.register_forward_hook(lambda *args: calls.append(1))
    for prompt, group in zip(asked, zip(*[iter(together)] * 9, strict=True), strict=True):
        before = len(calls)
        found = alone.sample([prompt], 9, 0)
        assert sum(rollout.forwards for rollout in found) == len(calls) - before
        assert [rollout.forwards for rollout in found] == [rollout.forwards for rollout in group]
    assert any(rollout.forwards > rollout.commit_step.max() + 1 for rollout in together)
    assert summarize([Scored(rollout=it, reward=0.0, parts={}) for it in together], 9)["rollout/forwards"] == (
        len(calls) / len(together)
    )
