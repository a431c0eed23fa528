"""How far a cache took the sampler from the policy, by the tokens whose log-probabilities were computed both ways."""

from collections.abc import Sequence

import numpy as np

from unigrpo.config import RolloutSection
from unigrpo.errors import TrainingError
from unigrpo.types import Metrics, Rollout, Scored

BAND = 0.8, 1.2
LEAST_TOKENS = 50


def gaps(rollouts: Sequence[Rollout]) -> np.ndarray:
    """Exact less sampled log-probability of each token for which both are known."""
    found = [
        it.exact_logprobs - it.logprobs for it in rollouts if it.exact_logprobs is not None and it.logprobs is not None
    ]
    every = np.concatenate(found) if found else np.empty(0, dtype=np.float32)
    return every[np.isfinite(every)].astype(np.float64)


def mismatch(scored: Sequence[Scored]) -> Metrics:
    """Mean distance of the log-probabilities, share of the ratios outside 0.8 to 1.2, and effective sample size.

    That is of importance weights by token, as a share of the tokens. Empty without a cache.
    """
    found = gaps([item.rollout for item in scored])
    if not len(found):
        return {}
    ratios = np.exp(found)
    return {
        "rollout/cache_error": float(np.abs(found).mean()),
        "rollout/cache_outside": float(((ratios < BAND[0]) | (ratios > BAND[1])).mean()),
        "rollout/cache_ess": float(ratios.sum() ** 2 / (len(ratios) * (ratios**2).sum())),
        "rollout/cache_tokens": float(len(found)),
    }


def check_mismatch(metrics: Metrics, section: RolloutSection) -> None:
    """Looks at the metrics of one step.

    Raises:
        TrainingError: what was sampled is too far from what the policy would have sampled.
    """
    error, tokens = metrics.get("rollout/cache_error", 0.0), metrics.get("rollout/cache_tokens", 0.0)
    if error > section.max_cache_error and tokens >= LEAST_TOKENS:
        raise TrainingError(
            f"rollout/cache_error is {error:.3g}, above rollout.max_cache_error={section.max_cache_error:g}: the cache "
            "draws what the policy would not. Set rollout.cache_refresh to a few steps, rollout.cache to prefix or "
            "none, or raise the limit."
        )
