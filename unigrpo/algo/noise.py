"""Structured random mask ratios: which response tokens are hidden, and which of those are scored.

B rollouts, K draws, C response positions (padded), L sampled tokens of one response, mu inner updates.

Source: MMaDA (arXiv:2505.15809), Algorithm 1; coupled-GRPO (arXiv:2506.20639) for complements; TraceRL
(arXiv:2509.06949) for the trace; JustGRPO (arXiv:2601.15165) for the autoregressive order; SPG (arXiv:2510.09541) for
blocks.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unigrpo.algo.random import bits, uniform
from unigrpo.config import NoiseRule

RATIO, PLACE, BLOCK, PROMPT = range(4)


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """The masked copies of a batch in one inner update."""

    masked_BKC: Tensor
    """bool, hidden in the input."""
    scored_BKC: Tensor
    """bool, a subset of masked: the tokens whose log-probability is taken."""
    ratio_BK: Tensor
    """float64, the share of the response that is hidden; with `bernoulli` the probability that a token is."""
    prompt_BP: Tensor | None
    """bool, prompt positions hidden in the input; None when the prompt is never masked."""
    paired: bool = False
    """Whether each view at an odd place is the complement of the one before it."""

    def of(self, rows: slice | Tensor) -> "Views":
        """The views of some responses."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor)})


def ratios(rule: str, u: Tensor, update: int, mu: int, low: float = 0.1, high: float = 0.9) -> Tensor:
    """Mask ratios t_n of inner update `update` (0-based) from uniform numbers `u`.

    `formula` and `even` derive all updates from one `u`; the others expect a fresh `u` for each update.
    """
    if rule == "formula":
        return u + (update / (mu - 1) if mu > 1 else 0.0) * (1 - u)
    if rule == "even":
        return (u + update / mu) % 1.0
    if rule == "full":
        return torch.ones_like(u)
    if rule == "range":
        return low + (high - low) * u
    if rule == "cosine":
        return torch.cos(torch.pi * u / 2)
    return u


def _stream(keys: Tensor, purpose: int) -> Tensor:
    """Keys of an independent stream for each purpose."""
    return bits(keys, torch.full_like(keys, purpose))


def _draw_ratios(keys_B: Tensor, noise: NoiseRule, update: int, mu: int) -> Tensor:
    """Ratios [B, K] of one inner update; complements share their partner's."""
    views = noise.draws // 2 if noise.antithetic == "complement" else noise.draws
    shared = noise.rule in ("formula", "even")
    counters = torch.arange(views, device=keys_B.device) + (0 if shared else update * views)
    u_BK = uniform(_stream(keys_B, RATIO)[:, None], counters[None])
    if noise.rule == "elbo":
        u_BK = (u_BK + torch.arange(views, device=keys_B.device)) / views
    return ratios(noise.rule, u_BK, update, mu, noise.low, noise.high)


def _counts(ratio_BK: Tensor, lengths_B: Tensor, noise: NoiseRule) -> Tensor:
    """Exact numbers of masked tokens, at least 1; a complement keeps at least 1 as well, where the response has 2."""
    length_B1 = lengths_B[:, None]
    if noise.rule == "elbo":
        count_BK = torch.floor(ratio_BK * length_B1).long() + 1
    else:
        count_BK = torch.floor(ratio_BK * length_B1 + 0.5).long()
    most_B1 = (length_B1 - 1).clamp(min=1) if noise.antithetic == "complement" else length_B1
    return torch.minimum(count_BK.clamp(min=1), most_B1)


def _smallest(values: Tensor, counts: Tensor) -> Tensor:
    """True at the `counts` smallest values along the last dimension."""
    return values.argsort(-1).argsort(-1) < counts[..., None]


def _uniform_places(place_BKC: Tensor, ratio_BK: Tensor, lengths_B: Tensor, valid_B1C: Tensor, noise: NoiseRule):
    place_BKC = place_BKC.masked_fill(~valid_B1C, 2.0)
    if noise.count == "exact":
        return _smallest(place_BKC, _counts(ratio_BK, lengths_B, noise))
    hidden = (place_BKC < ratio_BK[..., None]) & valid_B1C
    return hidden | _smallest(place_BKC, torch.ones_like(ratio_BK, dtype=torch.long))


def _ordered(rank_BC: Tensor, ratio_BK: Tensor, valid_B1C: Tensor) -> tuple[Tensor, Tensor]:
    """Masks everything from a point of an order on; scores what comes exactly at that point.

    Args:
        rank_BC: dense ranks 0, 1, ... of the response tokens; equal ranks are scored together.
    """
    ranks_B1 = (rank_BC.masked_fill(~valid_B1C[:, 0], -1).amax(-1) + 1)[:, None]
    point_BK = torch.floor((1 - ratio_BK) * ranks_B1).long().clamp(max=ranks_B1 - 1)
    rank_B1C = rank_BC[:, None]
    return (rank_B1C >= point_BK[..., None]) & valid_B1C, (rank_B1C == point_BK[..., None]) & valid_B1C


def _dense_rank(values_BC: Tensor, valid_BC: Tensor) -> Tensor:
    """Ranks without gaps: the number of distinct smaller values among the valid ones."""
    far = torch.iinfo(values_BC.dtype).max
    ordered, index = values_BC.masked_fill(~valid_BC, far).sort(-1)
    new = torch.ones_like(ordered, dtype=torch.long)
    new[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).long()
    return torch.empty_like(new).scatter_(1, index, new.cumsum(-1) - 1)


def make_views(
    keys_B: Tensor,
    sampled_BC: Tensor,
    commit_BC: Tensor,
    prompt_mask_BP: Tensor,
    noise: NoiseRule,
    update: int,
    mu: int,
) -> Views:
    """Builds the masks of one inner update, a pure function of each rollout's key, the update and the draw.

    Args:
        keys_B: int64, one key for each rollout (run seed, step, rollout id).
        sampled_BC: bool, the tokens that the policy chose; the others are never masked here (they were given, or are
            mask ids already).
        commit_BC: the denoising step at which the sampler committed each token; read by `trace`.
        prompt_mask_BP: bool, the real prompt tokens; read when the prompt is masked too.
        update: 0-based index of the inner update, of `mu`.
    """
    device, (_, width) = keys_B.device, commit_BC.shape
    position_C = torch.arange(width, device=device)
    sampled_B1C, lengths_B = sampled_BC[:, None], sampled_BC.sum(-1)
    rank_BC = sampled_BC.cumsum(-1) - 1
    ratio_BK = _draw_ratios(keys_B, noise, update, mu)
    draw_K = torch.arange(ratio_BK.shape[1], device=device) + update * ratio_BK.shape[1]
    counters_KC = draw_K[:, None] * width + position_C
    place_BKC = uniform(_stream(keys_B, PLACE)[:, None, None], counters_KC[None])

    if noise.plan == "trace":
        rank_BC = _dense_rank(commit_BC // noise.shrink, sampled_BC)
        masked, scored = _ordered(rank_BC, ratio_BK, sampled_B1C)
    elif noise.plan == "ar":
        masked, scored = _ordered(rank_BC, ratio_BK, sampled_B1C)
    elif noise.plan == "block":
        masked, scored = _block(keys_B, place_BKC, ratio_BK, draw_K, rank_BC, sampled_B1C, noise)
    else:
        masked = scored = _uniform_places(place_BKC, ratio_BK, lengths_B, sampled_B1C, noise)
    if noise.antithetic == "complement":
        pair = torch.stack([masked, sampled_B1C & ~masked], 2)
        masked = scored = pair.flatten(1, 2)
    drawn = masked.sum(-1) / lengths_B[:, None]
    if noise.count == "bernoulli":
        drawn = _bernoulli_share(ratio_BK, lengths_B[:, None], noise)
    prompt_BP = _prompt(keys_B, prompt_mask_BP, noise, update)
    return Views(
        masked_BKC=masked,
        scored_BKC=scored,
        ratio_BK=drawn.double(),
        prompt_BP=prompt_BP,
        paired=noise.antithetic == "complement",
    )


def _bernoulli_share(ratio_BK: Tensor, lengths_B1: Tensor, noise: NoiseRule) -> Tensor:
    """The probability with which each token of a view was masked; its partner has the complement.

    It is above the ratio, for where no token of a response is chosen one is masked all the same.
    """
    share_BK = ratio_BK + (1 - ratio_BK) ** lengths_B1 / lengths_B1.clamp(min=1)
    if noise.antithetic != "complement":
        return share_BK
    return torch.stack([share_BK, 1 - share_BK], 2).flatten(1, 2)


def _block(keys_B, place_BKC, ratio_BK, draw_K, rank_BC, sampled_B1C, noise: NoiseRule) -> tuple[Tensor, Tensor]:
    """A random block at the given ratio, later blocks hidden, earlier ones shown; scores what that block hides."""
    block_B1C = rank_BC[:, None] // noise.block_length
    blocks_B1 = (sampled_B1C.sum(-1) + noise.block_length - 1) // noise.block_length
    chosen_BK = torch.floor(uniform(_stream(keys_B, BLOCK)[:, None], draw_K[None]) * blocks_B1).long()
    here = (block_B1C == chosen_BK[..., None]) & sampled_B1C
    size_BK = here.sum(-1)
    count_BK = torch.floor(ratio_BK * size_BK + 0.5).long().clamp(min=1)
    scored = _smallest(place_BKC.masked_fill(~here, 2.0), torch.minimum(count_BK, size_BK))
    return scored | ((block_B1C > chosen_BK[..., None]) & sampled_B1C), scored


def _prompt(keys_B: Tensor, prompt_mask_BP: Tensor, noise: NoiseRule, update: int) -> Tensor | None:
    if noise.prompt_mask == 0:
        return None
    width = prompt_mask_BP.shape[1]
    from_right = torch.arange(width - 1, -1, -1, device=keys_B.device) + update * (1 << 32)
    return (uniform(_stream(keys_B, PROMPT)[:, None], from_right[None]) < noise.prompt_mask) & prompt_mask_BP
