"""Caches: exact where they must be, measured where they are not; what each step computes, counted."""

from dataclasses import replace

import pytest
import torch

from rollout.image import decode
from rollout.text import denoise
from rollout.trunk import Trunk
from tests.tiny import SUPPORT, tiny_model
from unigrpo.algo.random import key
from unigrpo.config import ImageSamplingSection, SamplingSection
from unigrpo.types import Support

EXACT = SamplingSection(gen_length=12, block_length=4, early_stop=False)
CACHED = replace(EXACT, cache="dual", cache_check=1.0)


class Counted:
    """Counts the tokens that a model computes."""

    def __init__(self, model):
        self.model, self.computed = model, []

    def hidden_states(self, ids, mask=None, positions=None, asked=slice(None), kept=None):
        window = slice(None) if kept is None else kept.window
        self.computed.append(ids[:, window].numel())
        return self.model.hidden_states(ids, mask, positions, asked, kept)

    def head_logits(self, *args):
        return self.model.head_logits(*args)


def answered(settings, model=None, rows=6, alike=False):
    prompt = torch.arange(rows * 3).view(rows, 3) % 7
    prompt = prompt[:1].expand(rows, -1) if alike else prompt
    keys = torch.tensor([key("row", row) for row in range(rows)])
    visible = torch.ones_like(prompt, dtype=torch.bool)
    visible[0, 0] = alike
    return denoise(model or tiny_model(spread=0.5), prompt, visible, keys, settings, 9, SUPPORT)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
@pytest.mark.parametrize("guidance", [0.0, 1.5])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_keys_that_are_made_anew_at_every_step_change_nothing(cache, guidance, threshold):
    exact = replace(EXACT, guidance=guidance, threshold=threshold)
    found = answered(replace(exact, cache=cache, cache_refresh=1))
    wanted = answered(exact)
    assert torch.equal(found.tokens_BC, wanted.tokens_BC)
    assert torch.equal(found.commit_BC, wanted.commit_BC)
    torch.testing.assert_close(found.logprobs_BC, wanted.logprobs_BC)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_cache_changes_the_distribution_but_not_at_the_first_step_of_a_block(cache):
    found = answered(replace(CACHED, cache=cache))
    gap = (found.exact_BC - found.logprobs_BC).abs()
    fresh = found.commit_BC % 4 == 0
    assert gap[fresh].max() == 0
    assert gap[~fresh].mean() > 1e-4
    assert gap.isfinite().all()


def test_what_is_exact_is_what_the_model_says_of_the_tokens_as_they_were():
    """Replays each step of a cached response with the plain model."""
    settings = replace(CACHED, temperature=0.8, guidance=1.0)
    model, rows = tiny_model(spread=0.5), 6
    found = answered(settings, model, rows)
    prompt = torch.arange(rows * 3).view(rows, 3) % 7
    for row in range(1, rows):  # the first row has a pad
        for step in range(int(found.commit_BC[row].max()) + 1):
            before = torch.where(found.commit_BC[row] < step, found.tokens_BC[row], 9)
            views = [torch.cat([head, before])[None] for head in (prompt[row], torch.full((3,), 9))]
            seen, blind = (model(view).logits[0, 3:, :9].detach().double() for view in views)
            wanted = ((blind + 2.0 * (seen - blind)) / 0.8).log_softmax(-1)
            for at in (found.commit_BC[row] == step).nonzero()[:, 0]:
                assert float(found.exact_BC[row, at]) == pytest.approx(
                    float(wanted[at, found.tokens_BC[row, at]]), abs=1e-5
                )


def test_without_a_cache_every_log_probability_is_the_models_own():
    found, cached = answered(EXACT), answered(replace(CACHED, cache_refresh=1))
    torch.testing.assert_close(found.logprobs_BC, cached.exact_BC)
    assert found.exact_BC.isnan().all()


def test_the_share_of_the_steps_that_is_checked_is_the_one_asked_for():
    found = answered(replace(CACHED, cache_check=0.25, temperature=1.0), rows=100)
    share = float((~found.exact_BC.isnan()).double().mean())
    assert share == pytest.approx(0.25, abs=0.05)
    both = answered(replace(CACHED, cache_check=1.0), rows=100)
    measured = ~found.exact_BC.isnan()
    torch.testing.assert_close(found.exact_BC[measured], both.exact_BC[measured])
    assert torch.equal(found.tokens_BC, both.tokens_BC)


@pytest.mark.parametrize(("cache", "later"), [("none", 15), ("prefix", 12), ("dual", 4)])
def test_a_step_computes_the_tokens_of_its_window(cache, later):
    model = Counted(tiny_model())
    answered(replace(EXACT, cache=cache, cache_check=0.0), model, rows=2)
    block = [15 * 2] + [later * 2] * 3
    shorter = [15 * 2] + [(later - 4 if cache == "prefix" else later) * 2] * 3
    last = [15 * 2] + [(later - 8 if cache == "prefix" else later) * 2] * 3
    assert model.computed == block + shorter + last


def test_a_group_shares_its_first_forward_and_nothing_else_changes():
    model, settings = Counted(tiny_model()), replace(EXACT, block_length=12)
    group = answered(settings, model, rows=5, alike=True)
    assert model.computed == [15] + [15 * 5] * 11
    for row in range(5):
        keys = torch.tensor([key("row", row)])
        alone = denoise(
            tiny_model(), torch.arange(3)[None], torch.ones(1, 3, dtype=torch.bool), keys, settings, 9, SUPPORT
        )
        assert torch.equal(alone.tokens_BC[0], group.tokens_BC[row])
    assert len({tuple(row) for row in group.tokens_BC.tolist()}) > 1


@pytest.mark.parametrize("cache", ["none", "dual"])
def test_rows_that_are_done_with_a_block_are_not_computed_again(cache):
    model = Counted(tiny_model(spread=0.8))
    settings = replace(EXACT, threshold=0.5, cache=cache, cache_check=0.0)
    found = answered(settings, model, rows=8)
    window = 15 if cache == "none" else 4
    forwards = found.commit_BC.view(8, 3, 4).amax(-1).diff(dim=1, prepend=torch.full((8, 1), -1))
    later = int((forwards - 1).sum()) * window
    assert sum(model.computed) == 3 * 8 * 15 + later
    assert forwards.unique().numel() > 1


def test_a_bound_on_entropy_commits_what_the_definition_says():
    settings = replace(EXACT, confidence="entropy", entropy_bound=1.2, block_length=12)
    model = tiny_model(spread=0.8)
    found = answered(settings, model, rows=4)
    prompt = torch.arange(12).view(4, 3) % 7
    counts = set()
    for row in range(1, 4):
        for step in range(int(found.commit_BC[row].max()) + 1):
            masked = found.commit_BC[row] >= step
            now = torch.cat([prompt[row], torch.where(masked, 9, found.tokens_BC[row])])[None]
            logprobs = model(now).logits[0, 3:, :9].detach().double().log_softmax(-1)
            entropy = -(logprobs.exp() * logprobs).sum(-1)
            order = [int(at) for at in entropy.argsort() if masked[at]]
            chosen = [at for n, at in enumerate(order) if sum(float(entropy[one]) for one in order[:n]) <= 1.2]
            assert set(chosen) == set((found.commit_BC[row] == step).nonzero()[:, 0].tolist())
            counts.add(len(chosen))
    assert len(counts) > 1


def drawn(settings, rows=4):
    tokens = torch.full((rows, 11), 9)
    tokens[:, :4] = torch.arange(rows * 4).view(rows, 4) % 7
    tokens[:, -1] = 8
    visible = torch.ones_like(tokens, dtype=torch.bool)
    blind = tokens.clone()
    blind[:, :4] = 0
    model = tiny_model(vocab=26, spread=0.5)
    keys = torch.arange(rows)
    codes = Support(start=10, stop=26)
    return decode(model, tokens, visible, slice(4, 10), keys, settings, 9, codes, (blind, visible))


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_an_image_whose_keys_are_made_anew_at_every_step_is_the_same(guidance):
    exact = ImageSamplingSection(steps=4, guidance=guidance)
    found, wanted = drawn(replace(exact, cache="prefix", cache_refresh=1)), drawn(exact)
    assert torch.equal(found.ids_BN, wanted.ids_BN)
    torch.testing.assert_close(found.logprobs_BN, wanted.logprobs_BN)
    cached = drawn(replace(exact, cache="prefix", cache_check=1.0))
    gap = (cached.exact_BN - cached.logprobs_BN).abs()
    assert gap[cached.commit_BN == 0].max() == 0
    assert gap[cached.commit_BN > 0].mean() > 1e-5


def test_kept_rows_go_on_as_if_the_others_had_never_been():
    model, mask = tiny_model(spread=0.5), torch.ones(3, 8, dtype=torch.bool)
    tokens, later = torch.arange(24).view(3, 8) % 9, torch.arange(24).view(3, 8) % 5
    slots, place = torch.arange(2).expand(3, -1), slice(4, 6)
    both, alone = Trunk(model, mask, "dual"), Trunk(model, mask[:2], "dual")
    both.states(tokens, place, slots, fresh=True)
    alone.states(tokens[[2, 0]], place, slots[:2], fresh=True)
    some = torch.tensor([2, 0])
    found = both.rows(some).states(later[some], place, slots[:2])
    torch.testing.assert_close(found, alone.states(later[some], place, slots[:2]))
