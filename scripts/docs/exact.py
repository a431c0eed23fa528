"""Exact log-likelihoods of short responses, over all sets of tokens that may be shown.

A masked-diffusion model that commits one token at a time, in an order drawn by chance, gives a response the probability
p = f(nothing shown), f(S) = mean over tokens i outside of S of p(i | S) f(S + i). Its ELBO is the same with sums of
logarithms in place of products. B responses, C positions.
"""

import math
from itertools import combinations

import torch
from torch import Tensor

from unigrpo.algo.noise import Views
from unigrpo.batch import Batch
from unigrpo.config import AlgoSection
from unigrpo.scores import score_views

Shown = frozenset[int]


@torch.no_grad()
def exact_likelihoods(model, batch: Batch) -> tuple[Tensor, Tensor]:
    """ELBO and log-likelihood [B] of each response, in float64."""
    found = [_of_one(model, batch.of(torch.tensor([row]))) for row in range(len(batch))]
    elbo, logprob = zip(*found, strict=True)
    return torch.tensor(elbo), torch.tensor(logprob)


def _of_one(model, one: Batch) -> tuple[float, float]:
    tokens = one.sampled_BC[0].nonzero()[:, 0].tolist()
    table = _table(model, one, tokens)
    elbo: dict[Shown, float] = {frozenset(tokens): 0.0}
    probability: dict[Shown, float] = {frozenset(tokens): 1.0}
    for size in range(len(tokens) - 1, -1, -1):
        for shown in map(frozenset, combinations(tokens, size)):
            left = [token for token in tokens if token not in shown]
            says = table[shown]
            elbo[shown] = sum(says[token] + elbo[shown | {token}] for token in left) / len(left)
            probability[shown] = sum(math.exp(says[token]) * probability[shown | {token}] for token in left) / len(left)
    return elbo[frozenset()], math.log(probability[frozenset()])


def _table(model, one: Batch, tokens: list[int]) -> dict[Shown, list[float]]:
    """Log-probabilities of the tokens that are not shown, for each set of shown ones."""
    sets = [frozenset(shown) for size in range(len(tokens)) for shown in combinations(tokens, size)]
    masked_1KC = torch.zeros(1, len(sets), one.width, dtype=torch.bool)
    for number, shown in enumerate(sets):
        masked_1KC[0, number, [token for token in tokens if token not in shown]] = True
    ratio_1K = masked_1KC.sum(-1).double() / len(tokens)
    views = Views(masked_BKC=masked_1KC, scored_BKC=masked_1KC, ratio_BK=ratio_1K, prompt_BP=None)
    logprobs_KC = score_views(model, one, views, slice(None), AlgoSection())[0]
    return {shown: logprobs_KC[number].tolist() for number, shown in enumerate(sets)}
