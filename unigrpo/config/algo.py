"""The axes of the algorithm. UniGRPO is the default of each; other estimators are overlays in configs/ablations."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.sections import DRAWING


@dataclass(kw_only=True)
class NoiseRule:
    """Which response tokens are masked for a likelihood, and which of those are scored."""

    rule: Literal["formula", "even", "random", "full", "range", "cosine", "elbo"] = "formula"
    """Mask ratio t_n of inner update n. `formula`: from a random t_1 evenly up to 1 (Algorithm 1); `even`: random
    start, spacing 1/mu, modulo 1; `random`: U(0,1) each; `full`: 1; `range`: U(low, high); `cosine`: cos(pi u / 2);
    `elbo`: counts uniform on 1..L, stratified over the draws."""
    plan: Literal["uniform", "trace", "ar", "block"] = "uniform"
    """Where the masks lie. `uniform`: anywhere; `trace`: as the sampler saw it at a random step of its own, scoring
    what it then committed; `ar`: everything from a random position on, scoring that position; `block`: a random block
    at ratio t, all later blocks masked."""
    draws: int = 1
    """Masks of each response in each inner update."""
    antithetic: Literal["none", "complement"] = "none"
    """`complement` pairs each mask with its complement, so that a pair scores every token exactly once; `draws` must be
    even."""
    count: Literal["exact", "bernoulli"] = "exact"
    """`exact` masks max(1, round(t L)) tokens; `bernoulli` masks each token with probability t, and at least one."""
    low: float = 0.1
    """`range`: lowest ratio."""
    high: float = 0.9
    """`range`: highest ratio."""
    prompt_mask: float = 0.0
    """Probability of masking each prompt token too (d1's diffu-GRPO uses 0.15; UniGRPO never masks the prompt)."""
    shrink: int = 1
    """`trace`: neighbouring sampler steps that are scored together."""
    block_length: int = 32
    """`block`: tokens of a block."""


@dataclass(kw_only=True)
class NoiseSection(NoiseRule):
    """Structured random mask ratios, and others for images if so wished."""

    image: NoiseRule | None = None
    """Rules of drawings; by default those of everything else."""

    def of(self, task: str) -> NoiseRule:
        """The rules of a task."""
        return self.image if self.image and task in DRAWING else self


@dataclass(kw_only=True)
class LikelihoodSection:
    """How log-probabilities are computed."""

    temperature: Literal["one", "sampled"] = "one"
    """`one` scores the policy itself (as in the paper); `sampled` divides the logits by the sampling temperature."""
    guided: bool = False
    """Score the guided distribution that was sampled: one more forward with the prompt masked."""
    micro_batch: int = 32
    """Responses of one forward and backward; changes memory, never the gradient."""
    chunk: int = 1024
    """Scored tokens whose logits exist at one time."""


@dataclass(kw_only=True)
class AlgoSection:
    """The policy-gradient objective."""

    mu: int = 2
    """Inner optimiser updates on one batch of rollouts, each with its own mask ratio."""
    advantage: Literal["grpo", "dr_grpo", "rloo", "reinforce++", "wd1"] = "grpo"
    """`grpo`: z-score in the group; `dr_grpo`: no division by the deviation; `rloo`: leave-one-out; `reinforce++`:
    deviation of the whole batch; `wd1`: softmax(A) - softmax(-A) in the group."""
    ratio: Literal["token", "sequence", "none", "regress"] = "token"
    """Importance ratio: of each token; the geometric mean over the scored tokens; none (REINFORCE); or regression of
    the mean log-ratio to psi * A."""
    negative: Literal["elbo", "eubo"] = "elbo"
    """Bound used where the advantage is negative, with ratio `none`: `eubo` is SPG's upper bound of order
    `eubo_order`."""
    eubo_order: float = 1.5
    """Renyi order of the upper bound."""
    psi: float = 1.0
    """Temperature of `wd1` and slope of `regress`."""
    clip_low: float = 0.2
    """A ratio below 1 - clip_low earns no further decrease."""
    clip_high: float = 0.2
    """A ratio above 1 + clip_high earns no further increase."""
    beta: float = 0.01
    """Weight of the KL to the frozen reference policy; 0 never runs the reference."""
    kl: Literal["k1", "k2", "k3"] = "k3"
    """Estimator of the KL, on the same masked tokens. As a loss k2 has the gradient of KL(policy || reference), k3 that
    of KL(reference || policy), and k1 none on average."""
    aggregation: Literal["sequence", "token"] = "sequence"
    """`sequence`: mean over a response's scored tokens, then over responses; `token`: mean over all scored tokens of
    the step."""
    weight: Literal["mean", "elbo"] = "mean"
    """`elbo` weights a token by 1/t, where t is how likely it was to be masked, which makes the sum an estimate of the
    ELBO divided by L."""
    cache_correction: float | None = None
    """With a cache of `rollout`: truncated importance weights. What a token earns counts by its exact probability over
    that which it was drawn with, but at most this often; tokens that were not checked (`rollout.cache_check`) count
    once."""
    dynamic_sampling: int = 0
    """Extra rounds of sampling that refill groups whose rewards are all equal; 0 keeps them, with advantage 0."""
    noise: NoiseSection = field(default_factory=NoiseSection)
    """Structured random mask ratios."""
    likelihood: LikelihoodSection = field(default_factory=LikelihoodSection)
    """Log-probabilities of the policy, the old policy and the reference."""
