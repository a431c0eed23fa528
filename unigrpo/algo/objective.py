"""The clipped surrogate and its KL, over all views of a response.

B rollouts, K draws, C response positions.

Source: MMaDA (arXiv:2505.15809), equations 4 and 5, with the ratio read as exp(difference of log-likelihoods).
"""

import math

import torch
from torch import Tensor

from unigrpo.algo.noise import Views
from unigrpo.config import AlgoSection

LARGEST_GAP = 20.0
LEAST_RATIO = 1e-9


def view_weights(views: Views, lengths_B: Tensor, weight: str) -> Tensor:
    """Weights [B, K, C] of the scored tokens within their response, averaged over draws.

    `mean` is one over the scored tokens of a view (of a pair, when views come in pairs); `elbo` is 1 / (t L).
    """
    scored_BKC = views.scored_BKC.double()
    draws = scored_BKC.shape[1]
    if weight == "elbo":
        # The complement of a full mask, as that of a single token always is, hides nothing and says nothing.
        says_BK = views.ratio_BK > LEAST_RATIO
        counts_BK = views.ratio_BK.clamp(min=LEAST_RATIO) * lengths_B[:, None]
        return scored_BKC / (counts_BK * says_BK.sum(-1, keepdim=True).clamp(min=1))[..., None]
    size = 2 if views.paired else 1
    count_BK = scored_BKC.sum(-1).unflatten(1, (-1, size)).sum(-1).repeat_interleave(size, 1)
    return scored_BKC / count_BK.clamp(min=1)[..., None] / (draws // size)


def kl_estimate(logprobs: Tensor, reference: Tensor, kind: str) -> Tensor:
    """Per-token KL(policy || reference) by k1, k2 or k3.

    Source: Schulman, "Approximating KL divergence" (2020).
    """
    gap = (reference - logprobs).clamp(-LARGEST_GAP, LARGEST_GAP)
    if kind == "k1":
        return -gap
    if kind == "k2":
        return gap.pow(2) / 2
    return torch.expm1(gap) - gap


def clipped(ratio: Tensor, advantage: Tensor, low: float, high: float) -> Tensor:
    """The pessimistic surrogate min(ratio A, clip(ratio) A).

    Source: PPO (arXiv:1707.06347), equation 7.
    """
    return torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


def upper_bound(logprobs_BKC: Tensor, views: Views, order: float) -> Tensor:
    """SPG's evidence upper bound, [B]: a mean over tokens of log E_t[p^order / t] / order, over draws that scored them.

    Source: SPG (arXiv:2510.09541), section 3.
    """
    weight_BK1 = 1 / views.ratio_BK.clamp(min=LEAST_RATIO)[..., None].to(logprobs_BKC)
    terms = (order * logprobs_BKC + weight_BK1.log()).masked_fill(~views.scored_BKC, float("-inf"))
    seen_BC = views.scored_BKC.any(1)
    bound_BC = torch.where(seen_BC[:, None], terms, 0.0).logsumexp(1) - math.log(terms.shape[1])
    return torch.where(seen_BC, bound_BC / order, 0.0).sum(-1) / seen_BC.sum(-1).clamp(min=1)


def each_for_itself(algo: AlgoSection) -> bool:
    """Whether the loss has a slope by each log-probability that depends on no other."""
    return algo.ratio == "token" or (algo.ratio == "none" and algo.negative == "elbo")


def policy_loss(
    logprobs_BKC: Tensor,
    old_BKC: Tensor,
    reference_BKC: Tensor | None,
    advantages_B: Tensor,
    views: Views,
    lengths_B: Tensor,
    algo: AlgoSection,
    responses: float,
    tokens: float,
    importance_BC: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """This part's share of the loss, and sums for the metrics.

    Args:
        logprobs_BKC: log-probabilities of the scored tokens under the policy, with gradient; 0 where not scored.
        old_BKC: the same under the policy that sampled.
        reference_BKC: the same under the frozen reference; None when beta is 0.
        responses: responses of the whole step, over micro-batches and ranks, so that how they were split cannot matter.
        tokens: scored tokens of the whole inner update, likewise.
        importance_BC: how often what a token earns counts, where another distribution than the policy drew it.
    """
    scored_BKC = views.scored_BKC
    within_BKC = view_weights(views, lengths_B, algo.weight).to(logprobs_BKC)
    share_BKC = scored_BKC.to(logprobs_BKC) / tokens if algo.aggregation == "token" else within_BKC / responses
    earned_BKC = share_BKC if importance_BC is None else share_BKC * importance_BC[:, None].to(share_BKC)
    advantages_B = advantages_B.to(logprobs_BKC)
    gap_BKC = (logprobs_BKC - old_BKC).masked_fill(~scored_BKC, 0.0)
    ratio_BKC = gap_BKC.clamp(-LARGEST_GAP, LARGEST_GAP).exp()
    share_B = earned_BKC.sum((1, 2))
    mean_gap_B = (within_BKC * gap_BKC).sum((1, 2))

    if algo.ratio == "sequence":
        ratio_BKC = mean_gap_B.exp()[:, None, None].expand_as(gap_BKC)
    if algo.ratio in ("token", "sequence"):
        gain_BKC = clipped(ratio_BKC, advantages_B[:, None, None], algo.clip_low, algo.clip_high)
        loss = -(earned_BKC * gain_BKC).sum()
    elif algo.ratio == "regress":
        loss = (share_B * (mean_gap_B - algo.psi * advantages_B).pow(2)).sum()
    else:
        bound_B = (earned_BKC * logprobs_BKC).sum((1, 2))
        if algo.negative == "eubo":
            bound_B = torch.where(
                advantages_B < 0, share_B * upper_bound(logprobs_BKC, views, algo.eubo_order), bound_B
            )
        loss = -(bound_B * advantages_B).sum()

    sums = _sums(ratio_BKC, scored_BKC, logprobs_BKC, advantages_B, algo)
    if reference_BKC is not None:
        kl_BKC = kl_estimate(logprobs_BKC, reference_BKC, algo.kl) * scored_BKC
        loss = loss + algo.beta * (share_BKC * kl_BKC).sum()
        sums["kl"] = kl_BKC.detach().sum() / tokens
    return loss, sums | {"loss": loss.detach()}


@torch.no_grad()
def _sums(ratio_BKC: Tensor, scored_BKC: Tensor, logprobs_BKC: Tensor, advantages_B: Tensor, algo: AlgoSection):
    tokens = scored_BKC.sum()
    up_B11 = (advantages_B > 0)[:, None, None]
    down_B11 = (advantages_B < 0)[:, None, None]
    held = (up_B11 & (ratio_BKC > 1 + algo.clip_high)) | (down_B11 & (ratio_BKC < 1 - algo.clip_low))
    return {
        "tokens": tokens,
        "clipped": (held & scored_BKC).sum(),
        "ratio": ratio_BKC[scored_BKC].sum(),
        "logprob": logprobs_BKC[scored_BKC].sum(),
    }
