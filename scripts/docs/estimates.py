"""Estimates of the log-likelihood of whole responses, by the masks and the likelihood that training uses.

B responses, N estimates of each, K draws, C response positions.
"""

from dataclasses import replace

import torch
from torch import Tensor

from rollout.sampler import Sampler
from unigrpo.algo.objective import view_weights
from unigrpo.algo.random import key
from unigrpo.batch import Batch, make_batches
from unigrpo.config import AlgoSection, DataSection, NoiseSection, SamplingSection
from unigrpo.data.load import load_prompts
from unigrpo.models.load import Policy
from unigrpo.scores import score_views
from unigrpo.types import Scored

RESPONSES, LENGTH = 48, 4
PROMPTS = DataSection(source="arithmetic", template="plain", split="test", size=800)


def _updates(rule: str, **more) -> dict[int, AlgoSection]:
    """A rule whose mu updates, or groups of views, make 1, 2, 4 and 8 forwards."""
    return {mu: AlgoSection(mu=mu, noise=NoiseSection(rule=rule, **more)) for mu in (1, 2, 4, 8)}


def _draws(rule: str, first: int = 1, **more) -> dict[int, AlgoSection]:
    """A rule whose draws, in one update, make so many forwards."""
    counts = [count for count in (1, 2, 4, 8) if count >= first]
    return {count: AlgoSection(mu=1, noise=NoiseSection(rule=rule, draws=count, **more)) for count in counts}


CONTENDERS: dict[str, dict[int, AlgoSection]] = {
    "UniGRPO (formula)": _updates("formula"),
    "UniGRPO (even)": _updates("even"),
    "independent ratios": _updates("random"),
    "full mask": _updates("full"),
    "full mask, prompt masked": _updates("full", prompt_mask=0.15),
    "complementary pairs": _draws("range", 2, low=0.2, high=0.8, antithetic="complement"),
    "stratified counts": _draws("elbo"),
}
"""Settings by the number of forwards that one estimate takes."""


def asked(policy: Policy) -> Batch:
    """Responses of the policy to held-out sums, at temperature 1."""
    prompts = load_prompts(PROMPTS, policy.tokenizer, policy.ids)[:RESPONSES]
    settings = SamplingSection(gen_length=LENGTH, block_length=LENGTH, temperature=1.0)
    rollouts = Sampler(policy, settings, seed=0).sample(prompts, 1, "picture")
    scored = [Scored(rollout=rollout, reward=0.0, parts={}) for rollout in rollouts]
    [batch] = make_batches(scored, 1, AlgoSection(), seed=0, ids=policy.ids)
    return batch


@torch.no_grad()
def estimates(model, batch: Batch, algo: AlgoSection, count: int) -> Tensor:
    """`count` independent estimates [N, B] of the log-likelihood of each response: length times mean over updates."""
    found = []
    for number in range(count):
        keys = torch.tensor([key("estimate", number, row) for row in range(len(batch))])
        once = replace(batch, keys_B=keys)
        means = [_mean(model, once, algo, update) for update in range(algo.mu)]
        found.append(torch.stack(means).mean(0) * batch.lengths_B)
    return torch.stack(found)


def _mean(model, batch: Batch, algo: AlgoSection, update: int) -> Tensor:
    """What one inner update sees of each response: its mean log-probability of a scored token, [B]."""
    views = batch.views(algo, update)
    logprobs_BKC = score_views(model, batch, views, slice(None), algo)
    return (view_weights(views, batch.lengths_B, "mean") * logprobs_BKC).sum((1, 2))
