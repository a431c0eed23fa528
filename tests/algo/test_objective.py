import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.tiny import SUPPORT, tiny_model
from unigrpo.algo.likelihood import token_logprobs
from unigrpo.algo.noise import Views, make_views
from unigrpo.algo.objective import clipped, kl_estimate, policy_loss, upper_bound, view_weights
from unigrpo.algo.random import key
from unigrpo.config import AlgoSection, NoiseSection


def all_scored(rows, draws, width):
    ones = torch.ones(rows, draws, width, dtype=torch.bool)
    return Views(masked_BKC=ones, scored_BKC=ones, ratio_BK=torch.ones(rows, draws).double(), prompt_BP=None)


def test_one_token_response_equals_policy_gradient_grpo_in_closed_form():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tokens, advantages = torch.tensor([0, 3, 3, 1]), torch.tensor([1.2, -0.3, 0.5, -1.4])
    logprobs = logits.log_softmax(-1).gather(-1, tokens[:, None])[:, :, None]
    loss, _ = policy_loss(
        logprobs, logprobs.detach(), None, advantages, all_scored(4, 1, 1), torch.ones(4), AlgoSection(beta=0.0), 4, 4
    )
    loss.backward()
    onehot = torch.nn.functional.one_hot(tokens, 5)
    expected = -(advantages[:, None] * (onehot - logits.detach().softmax(-1))) / 4
    torch.testing.assert_close(logits.grad, expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("advantage", [1.0, -1.0])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.1, 1.5])
def test_clip_stops_the_gradient_exactly_where_going_on_would_earn_nothing(advantage, ratio):
    r = torch.tensor(ratio, requires_grad=True)
    clipped(r, torch.tensor(advantage), 0.2, 0.2).backward()
    stopped = (advantage > 0 and ratio > 1.2) or (advantage < 0 and ratio < 0.8)
    assert float(r.grad) == (0.0 if stopped else advantage)


def test_k3_is_not_negative_zero_iff_equal_and_flat_there():
    gap = (torch.arange(-30, 31, dtype=torch.float64) / 10).requires_grad_()
    k3 = kl_estimate(gap, torch.zeros_like(gap), "k3")
    assert (k3 >= 0).all()
    assert ((k3 == 0) == (gap == 0)).all()
    (slope,) = torch.autograd.grad(k3.sum(), gap)
    assert slope[30] == 0


def test_expected_gradients_of_the_estimators_are_those_of_the_two_divergences():
    """k2 has the gradient of KL(policy || ref), k3 that of KL(ref || policy), and k1 none."""
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    policy, reference = logits.log_softmax(-1), torch.randn(6, dtype=torch.float64).log_softmax(-1)

    def slope(value):
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    weights = policy.detach().exp()
    forward = slope((policy.exp() * (policy - reference)).sum())
    backward = slope((reference.exp() * (reference - policy)).sum())
    found = {kind: slope((weights * kl_estimate(policy, reference, kind)).sum()) for kind in ("k1", "k2", "k3")}
    torch.testing.assert_close(found["k2"], forward, atol=1e-12, rtol=0)
    torch.testing.assert_close(found["k3"], backward, atol=1e-12, rtol=0)
    torch.testing.assert_close(found["k1"], torch.zeros_like(forward), atol=1e-12, rtol=0)


def exact_score(model, prompt, response):
    """Gradient of E_t E_M [mean of log p over M] for t ~ U(0, 1) with exact counts, by enumeration of all masks.

    The count max(1, round(t L)) has probability 1.5/3, 1/3 and 0.5/3 for 1, 2 and 3 of three tokens.
    """
    total = 0.0
    for size, chance in ((1, 0.5), (2, 1 / 3), (3, 1 / 6)):
        subsets = list(itertools.combinations(range(3), size))
        for subset in subsets:
            scored = torch.zeros(1, 3, dtype=torch.bool)
            scored[0, list(subset)] = True
            total = total + chance / len(subsets) / size * score(model, prompt, response, scored).sum()
    return total


def score(model, prompt, response, scored):
    tokens = torch.cat([prompt, response], 1).repeat(len(scored), 1)
    masked = tokens.clone()
    masked[:, prompt.shape[1] :][scored] = 9
    visible = torch.ones_like(tokens, dtype=torch.bool)
    return token_logprobs(model, masked, visible, response.expand(len(scored), -1), scored, [SUPPORT])


def draws(model, prompt, response, rule, mu, count):
    noise = NoiseSection(rule=rule)
    keys = torch.tensor([key("unbiased", rule, row) for row in range(count)])
    sampled, commit = torch.ones(count, 3, dtype=torch.bool), torch.zeros(count, 3, dtype=torch.long)
    found = torch.zeros(mu, count, dtype=torch.float64)
    for update in range(mu):
        view = make_views(keys, sampled, commit, torch.ones(count, 2, dtype=torch.bool), noise, update, mu)
        scored = view.scored_BKC[:, 0]
        with torch.no_grad():
            logprobs = score(model, prompt, response, scored).double()
        found[update] = logprobs.sum(-1) / scored.sum(-1)
    return found


def test_mean_over_draws_approaches_the_exact_expectation_and_even_varies_less():
    model = tiny_model(spread=0.35)
    prompt, response = torch.tensor([[1, 2]]), torch.tensor([[3, 0, 2]])
    exact = float(exact_score(model, prompt, response).detach())
    random, even = (draws(model, prompt, response, rule, 3, 6000) for rule in ("random", "even"))
    for found in (random, even):
        mean = found.mean(0)
        assert abs(float(mean.mean()) - exact) < 4 * float(mean.std()) / len(mean) ** 0.5
    assert even.mean(0).var() < random.mean(0).var()


def test_masked_mean_with_uniform_counts_is_the_elbo_over_the_length():
    """Dynamic programming over revealed subsets against the mean over all masks with uniform counts."""
    model, prompt, response = tiny_model(spread=0.35), torch.tensor([[1, 2]]), torch.tensor([[3, 0, 2]])

    def logprob(shown, token):
        scored = torch.ones(1, 3, dtype=torch.bool)
        scored[0, list(shown)] = False
        with torch.no_grad():
            return float(score(model, prompt, response, scored)[0, token])

    def elbo(shown):
        left = [i for i in range(3) if i not in shown]
        return sum(logprob(shown, i) + elbo((*shown, i)) for i in left) / len(left) if left else 0.0

    mean = 0.0
    for size in (1, 2, 3):
        subsets = list(itertools.combinations(range(3), size))
        for hidden in subsets:
            shown = tuple(i for i in range(3) if i not in hidden)
            mean += sum(logprob(shown, i) for i in hidden) / size / len(subsets) / 3
    assert mean == pytest.approx(elbo(()) / 3, abs=1e-6)


def test_upper_bound_is_above_the_log_of_the_mean_probability_bound_below():
    logprobs = torch.log(torch.tensor([[[0.2, 0.5], [0.4, 0.1]]], dtype=torch.float64))
    views = all_scored(1, 2, 2)
    expected = sum(torch.log((logprobs[0, :, j].exp() ** 1.5).mean()) / 1.5 for j in range(2)) / 2
    found = upper_bound(logprobs, views, 1.5)
    torch.testing.assert_close(found, expected[None])
    assert found > logprobs.mean()


@pytest.mark.parametrize("ratio", ["token", "sequence", "none", "regress"])
@pytest.mark.parametrize("aggregation", ["sequence", "token"])
def test_parts_of_a_batch_add_up_to_the_whole(ratio, aggregation):
    generator = torch.Generator().manual_seed(1)
    logprobs, old, ref = (-torch.rand(6, 2, 4, generator=generator) for _ in range(3))
    scored = torch.rand(6, 2, 4, generator=generator) < 0.7
    scored[..., 0] = True
    views = Views(masked_BKC=scored, scored_BKC=scored, ratio_BK=torch.rand(6, 2).double(), prompt_BP=None)
    advantages, lengths = torch.randn(6, generator=generator), torch.full((6,), 4)
    algo, total = AlgoSection(ratio=ratio, aggregation=aggregation), int(scored.sum())

    def part(rows):
        v = Views(masked_BKC=scored[rows], scored_BKC=scored[rows], ratio_BK=views.ratio_BK[rows], prompt_BP=None)
        args = logprobs[rows], old[rows], ref[rows], advantages[rows], v, lengths[rows], algo, 6, total
        return policy_loss(*args)[0]

    torch.testing.assert_close(part(slice(0, 2)) + part(slice(2, 6)), part(slice(0, 6)))


def uneven(ratio=1.0):
    """Two responses of three tokens: the first scores one token in one view, the second two and three."""
    scored = torch.tensor([[[1, 0, 0], [1, 0, 0]], [[1, 1, 0], [1, 1, 1]]], dtype=torch.bool)
    return Views(
        masked_BKC=scored, scored_BKC=scored, ratio_BK=torch.full((2, 2), ratio, dtype=torch.float64), prompt_BP=None
    )


def test_weights_are_one_over_the_scored_tokens_of_a_view_or_pair_and_one_over_t_l():
    views, lengths = uneven(0.5), torch.tensor([3, 4])
    alone = view_weights(views, lengths, "mean")
    assert alone.sum((1, 2)).tolist() == pytest.approx([1, 1])
    assert alone[1, :, 0].tolist() == pytest.approx([1 / 4, 1 / 6])
    paired = view_weights(replace(views, paired=True), lengths, "mean")
    assert paired[1, :, 0].tolist() == pytest.approx([1 / 5, 1 / 5])
    elbo = view_weights(views, lengths, "elbo")
    assert elbo[:, 0, 0].tolist() == pytest.approx([1 / (0.5 * 3) / 2, 1 / (0.5 * 4) / 2])


def loss_of(algo, logprobs, old, reference, advantages, views):
    found = policy_loss(
        logprobs,
        old,
        reference,
        torch.tensor(advantages),
        views,
        torch.tensor([3, 3]),
        algo,
        2,
        int(views.scored_BKC.sum()),
    )
    return float(found[0]), {name: float(value) for name, value in found[1].items()}


def values(seed):
    return -torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(seed)) * uneven().scored_BKC


@pytest.mark.parametrize("aggregation", ["sequence", "token"])
def test_kl_is_added_with_the_weights_of_the_surrogate(aggregation):
    logprobs, reference, views = values(0), values(1), uneven()
    found, sums = loss_of(
        AlgoSection(beta=0.5, aggregation=aggregation), logprobs, logprobs, reference, [0.0, 0.0], views
    )
    k3 = kl_estimate(logprobs, reference, "k3")[views.scored_BKC]
    token = k3.mean()
    sequence = (k3[:2].mean() + (k3[2:4].mean() + k3[4:].mean()) / 2) / 2
    assert found == pytest.approx(0.5 * float(token if aggregation == "token" else sequence))
    assert sums["kl"] == pytest.approx(float(token))


@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_a_ratio_is_clipped_and_counted_at_its_own_bound_on_each_side(ratio):
    """Equal gaps make both ratios equal: 1.25 is below 1 + clip_high, 0.8 is below 1 - clip_low, and 1.5 is above."""
    algo, views = AlgoSection(beta=0.0, ratio=ratio, clip_low=0.1, clip_high=0.3), uneven()
    old = values(0)
    for factor, advantage, expected, clipped_tokens in (
        (1.25, 1.0, 1.25, 0),
        (1.5, 1.0, 1.3, 7),
        (0.8, -1.0, -0.9, 7),
        (1.5, -1.0, -1.5, 0),
        (0.8, 1.0, 0.8, 0),
    ):
        logprobs = old + torch.log(torch.tensor(factor)) * views.scored_BKC
        found, sums = loss_of(algo, logprobs, old, None, [advantage, advantage], views)
        assert found == pytest.approx(-expected)
        assert sums["clipped"] == clipped_tokens
        assert sums["ratio"] == pytest.approx(7 * factor)


def means(gap):
    """Mean over the scored tokens of a view, then over views."""
    return [float(gap[0, 0, 0] + gap[0, 1, 0]) / 2, float(gap[1, 0, :2].mean() + gap[1, 1].mean()) / 2]


def test_sequence_ratio_is_the_geometric_mean_and_regression_fits_its_logarithm():
    logprobs, old, views, advantages = values(0), values(1), uneven(), [0.5, -1.0]
    gaps = means(logprobs - old)
    wide = AlgoSection(beta=0.0, ratio="sequence", clip_low=1.0, clip_high=9.0)
    expected = -sum(math.exp(gap) * a for gap, a in zip(gaps, advantages, strict=True)) / 2
    assert loss_of(wide, logprobs, old, None, advantages, views)[0] == pytest.approx(expected)
    regress = AlgoSection(beta=0.0, ratio="regress", psi=0.3)
    expected = sum((gap - 0.3 * a) ** 2 for gap, a in zip(gaps, advantages, strict=True)) / 2
    assert loss_of(regress, logprobs, old, None, advantages, views)[0] == pytest.approx(expected)


@pytest.mark.parametrize("negative", ["elbo", "eubo"])
def test_without_a_ratio_the_bounds_are_weighted_by_the_advantage_the_upper_one_where_it_is_negative(negative):
    logprobs, views, advantages = values(0), uneven(), [0.5, -1.0]
    lower = means(logprobs)
    upper = float(upper_bound(logprobs, views, 1.5)[1])
    algo = AlgoSection(beta=0.0, ratio="none", negative=negative)
    expected = -(0.5 * lower[0] - (upper if negative == "eubo" else lower[1])) / 2
    assert loss_of(algo, logprobs, values(1), None, advantages, views)[0] == pytest.approx(expected)


def test_upper_bound_weights_a_probability_by_one_over_the_ratio_of_its_view():
    """Two draws of one token at t = 1/4 and 1; a second token that only the first draw scored."""
    scored = torch.tensor([[[1, 1], [1, 0]]], dtype=torch.bool)
    ratio = torch.tensor([[0.25, 1.0]], dtype=torch.float64)
    views = Views(masked_BKC=scored, scored_BKC=scored, ratio_BK=ratio, prompt_BP=None)
    p = torch.tensor([[[0.2, 0.5], [0.4, 1.0]]], dtype=torch.float64)
    both = math.log((4 * 0.2**1.5 + 0.4**1.5) / 2) / 1.5
    one = math.log(4 * 0.5**1.5 / 2) / 1.5
    assert float(upper_bound(p.log(), views, 1.5)) == pytest.approx((both + one) / 2)


@pytest.mark.parametrize("ratio", ["token", "sequence", "none"])
def test_importance_weights_make_the_expected_gradient_that_of_the_policys_own_samples(ratio):
    """One token of five, drawn from another distribution; expectations by enumeration."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    drawn_from = torch.randn(5, generator=generator, dtype=torch.float64).softmax(-1)
    rewards = torch.randn(5, generator=generator, dtype=torch.float64)
    policy, views = logits.log_softmax(-1), all_scored(1, 1, 1)

    def gradient(token, importance):
        logprob = policy[token].view(1, 1, 1)
        algo = AlgoSection(beta=0.0, ratio=ratio)
        args = logprob, logprob.detach(), None, rewards[token : token + 1], views, torch.ones(1), algo, 1, 1
        loss = policy_loss(*args, importance_BC=importance)[0]
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    own = sum(policy[t].exp().detach() * gradient(t, None) for t in range(5))
    ratios = (policy.exp() / drawn_from).detach()
    corrected = sum(drawn_from[t] * gradient(t, ratios[t].view(1, 1)) for t in range(5))
    torch.testing.assert_close(corrected, own)
    uncorrected = sum(drawn_from[t] * gradient(t, None) for t in range(5))
    assert not torch.allclose(uncorrected, own, rtol=1e-2)


@pytest.mark.parametrize("rule", ["range", "full"])
@pytest.mark.parametrize("antithetic", ["none", "complement"])
@pytest.mark.parametrize("count", ["exact", "bernoulli"])
def test_one_over_t_counts_every_token_once_on_average(count, antithetic, rule):
    """Short responses and small ratios, where often the one token is masked that always is; and full masks."""
    noise = NoiseSection(rule=rule, low=0.02, high=0.3, draws=2, count=count, antithetic=antithetic)
    for length in (1, 5):
        keys, sampled = torch.arange(10_000), torch.ones(10_000, length, dtype=torch.bool)
        found = make_views(keys, sampled, sampled.long(), sampled, noise, 0, 1)
        total = view_weights(found, sampled.sum(-1), "elbo").sum((1, 2)).mean()
        torch.testing.assert_close(total, torch.tensor(1.0).double(), atol=0.03, rtol=0)
