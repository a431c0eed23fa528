import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unigrpo.algo.noise import make_views, ratios
from unigrpo.algo.random import key
from unigrpo.config import NoiseSection

RULES = ["formula", "even", "random", "full", "range", "cosine", "elbo"]
PLANS = ["uniform", "trace", "ar", "block"]


def views(noise, lengths=(5, 1, 8), width=8, update=0, mu=3, rows=slice(None), prompt=4):
    keys = torch.tensor([key("masks", row) for row in range(len(lengths))])
    commit = torch.tensor([[(7 * i + 3 * row) % 8 for i in range(width)] for row in range(len(lengths))])
    prompts = torch.ones(len(lengths), prompt, dtype=torch.bool)
    sampled = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    args = keys[rows], sampled[rows], commit[rows], prompts[rows]
    return make_views(*args, noise, update, mu)


def test_formula_is_algorithm_1_and_even_is_the_example_of_section_5_2():
    u = torch.tensor(0.1, dtype=torch.float64)
    assert [round(float(ratios("formula", u, n, 5)), 6) for n in range(5)] == [0.1, 0.325, 0.55, 0.775, 1.0]
    assert [round(float(ratios("even", u, n, 5)), 6) for n in range(5)] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert float(ratios("formula", u, 0, 1)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("rule", "mean"), [("formula", 0.75), ("even", 0.5), ("random", 0.5), ("cosine", 2 / torch.pi)]
)
def test_marginal_mean_of_each_rule(rule, mean):
    u = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    found = torch.stack([ratios(rule, u, n, 4) for n in range(4)]).mean()
    assert float(found) == pytest.approx(mean, abs=1e-3)


def test_even_visits_each_stratum_once():
    for start in torch.rand(50, dtype=torch.float64):
        strata = sorted(int(float(ratios("even", start, n, 5)) * 5) for n in range(5))
        assert strata == [0, 1, 2, 3, 4]


@settings(max_examples=150, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    plan=st.sampled_from(PLANS),
    count=st.sampled_from(["exact", "bernoulli"]),
    draws=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    update=st.integers(0, 2),
)
def test_masks_touch_only_response_tokens_and_never_none(rule, plan, count, draws, lengths, update):
    found = views(NoiseSection(rule=rule, plan=plan, count=count, draws=draws, block_length=3), lengths, update=update)
    outside = torch.arange(8)[None, None] >= torch.tensor(lengths)[:, None, None]
    assert not (found.masked_BKC & outside).any()
    assert found.masked_BKC.shape == (len(lengths), draws, 8)
    assert (found.scored_BKC & ~found.masked_BKC).sum() == 0
    assert found.scored_BKC.any(-1).all()
    assert found.prompt_BP is None


@settings(max_examples=80, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    count=st.sampled_from(["exact", "bernoulli"]),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4),
)
def test_complement_pairs_score_each_response_token_exactly_once(rule, count, lengths):
    found = views(NoiseSection(rule=rule, draws=4, antithetic="complement", count=count), lengths)
    each = found.scored_BKC.long().unflatten(1, (2, 2)).sum(2)
    valid = torch.arange(8)[None] < torch.tensor(lengths)[:, None]
    assert (each == valid[:, None].long()).all()


def test_exact_counts_are_the_rounded_ratio():
    found = views(NoiseSection(rule="range", low=0.5, high=0.5 + 1e-9), lengths=(8, 5, 1))
    assert found.masked_BKC.sum(-1).flatten().tolist() == [4, 3, 1]


def test_elbo_counts_are_uniform_over_one_to_length():
    lengths = [4] * 4000
    counts = views(NoiseSection(rule="elbo"), lengths, width=8).masked_BKC.sum(-1).flatten().bincount(minlength=5)[1:]
    assert float(((counts - 1000.0) ** 2 / 1000).sum()) < 16.3  # 0.999 quantile, 3 degrees of freedom


def test_elbo_draws_are_stratified():
    counts = views(NoiseSection(rule="elbo", draws=4), [8] * 50).masked_BKC.sum(-1)
    assert ((counts - 1) // 2 == torch.arange(4)).all()


@pytest.mark.parametrize("plan", PLANS)
def test_masks_do_not_depend_on_how_the_batch_is_split(plan):
    noise = NoiseSection(plan=plan, rule="even", draws=2, prompt_mask=0.3)
    whole = views(noise)
    for rows in (slice(0, 1), slice(1, 3)):
        part = views(noise, rows=rows)
        assert torch.equal(part.masked_BKC, whole.masked_BKC[rows])
        assert torch.equal(part.prompt_BP, whole.prompt_BP[rows])


def test_prompt_masks_do_not_depend_on_left_padding():
    noise = NoiseSection(prompt_mask=0.5)
    assert torch.equal(views(noise, prompt=9).prompt_BP[:, -4:], views(noise, prompt=4).prompt_BP)


def test_updates_and_draws_have_masks_of_their_own():
    noise = NoiseSection(rule="range", low=0.5, high=0.50001, draws=2)
    seen = {tuple(views(noise, [8], update=n).masked_BKC[0, k].tolist()) for n in range(3) for k in range(2)}
    assert len(seen) > 4


def test_trace_shows_what_the_sampler_saw():
    found = views(NoiseSection(plan="trace", rule="even", draws=3), lengths=(8,))
    commit = torch.tensor([(7 * i) % 8 for i in range(8)])
    for masked, scored in zip(found.masked_BKC[0], found.scored_BKC[0], strict=True):
        assert scored.sum() == 1
        assert torch.equal(masked, commit >= commit[scored])


def test_trace_with_shrink_scores_neighbouring_steps_together():
    found = views(NoiseSection(plan="trace", rule="even", shrink=4), lengths=(8,))
    assert found.scored_BKC.sum() == 4


def test_autoregressive_plan_hides_all_that_follows_the_scored_token():
    found = views(NoiseSection(plan="ar", rule="random", draws=5), lengths=(8,))
    for masked, scored in zip(found.masked_BKC[0], found.scored_BKC[0], strict=True):
        assert scored.sum() == 1
        assert torch.equal(masked, torch.arange(8) >= int(scored.nonzero()))


def test_block_plan_hides_later_blocks_and_shows_earlier_ones():
    found = views(NoiseSection(plan="block", rule="even", draws=6, block_length=2), lengths=(8,))
    block = torch.arange(8) // 2
    for masked, scored in zip(found.masked_BKC[0], found.scored_BKC[0], strict=True):
        chosen = block[scored].unique()
        assert len(chosen) == 1
        assert masked[block > chosen].all()
        assert not masked[block < chosen].any()


@pytest.mark.parametrize(("rule", "own"), [("random", True), ("range", True), ("cosine", True), ("formula", False)])
def test_only_formula_and_even_derive_all_updates_from_one_number(rule, own):
    """`formula` climbs to 1 from wherever it starts; the others draw each update's ratio anew."""
    noise = NoiseSection(rule=rule)
    counts = torch.stack([views(noise, [8] * 50, update=n, mu=4).masked_BKC.sum(-1)[:, 0] for n in range(4)], 1)
    climbs = (counts[:, 1:] >= counts[:, :-1]).all(-1)
    assert climbs.all() != own
    assert own or (counts[:, -1] == 8).all()


@pytest.mark.parametrize("rule", ["range", "formula"])
def test_partners_are_neighbours_whose_ratios_sum_to_one(rule):
    for count in ("exact", "bernoulli"):
        found = views(NoiseSection(rule=rule, draws=4, antithetic="complement", count=count), (8, 5))
        pairs = found.ratio_BK.unflatten(1, (-1, 2))
        assert torch.allclose(pairs.sum(-1), torch.ones(2, 2, dtype=torch.float64))
        assert not (found.masked_BKC[:, 0] & found.masked_BKC[:, 1]).any()


def test_prompt_masks_are_drawn_anew_and_never_hide_a_pad():
    keys, sampled, commit = torch.arange(4), torch.ones(4, 3, dtype=torch.bool), torch.zeros(4, 3, dtype=torch.long)
    real = torch.arange(12)[None] >= torch.tensor([0, 4, 8, 11])[:, None]
    found = [make_views(keys, sampled, commit, real, NoiseSection(prompt_mask=0.5), n, 2).prompt_BP for n in range(2)]
    assert not torch.equal(*found)
    assert not (torch.stack(found) & ~real).any()


@pytest.mark.parametrize("plan", ["trace", "ar"])
def test_a_full_ratio_hides_all_and_scores_what_comes_first(plan):
    found = views(NoiseSection(plan=plan, rule="full"), lengths=(8,))
    assert found.masked_BKC.all()
    assert found.scored_BKC[0, 0].nonzero().tolist() == [[0]]  # position 0 was committed at step 0


def test_every_block_is_chosen_equally_often_and_scores_inside_itself():
    noise = NoiseSection(plan="block", rule="full", draws=4000, block_length=3)
    found = views(noise, lengths=(8,))
    first = found.scored_BKC[0].long().argmax(-1)
    counts = first.bincount(minlength=8)[[0, 3, 6]].double()
    assert float(((counts - 4000 / 3) ** 2 / (4000 / 3)).sum()) < 13.8  # 0.999 quantile, 2 degrees of freedom
    assert torch.equal(found.scored_BKC[0].sum(-1), torch.tensor([3, 3, 2])[first // 3])
