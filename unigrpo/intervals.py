"""Confidence intervals of 95 %: what other prompts of the same kind might have given."""

from collections.abc import Sequence

import numpy as np

Z = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""
TAILS = (2.5, 97.5)
CELLS = 1 << 22
"""Numbers of resamples that are in memory at one time."""

Interval = tuple[float, float]
ByPrompt = Sequence[Sequence[float]]
"""The values of each prompt's responses; none where they are not known."""


def wilson(right: float, count: int) -> Interval:
    """The interval of a share, given how many of how many independent answers are right.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).
    """
    share, slack = right / count, Z * Z / count
    middle = (share + slack / 2) / (1 + slack)
    half = Z / (1 + slack) * (share * (1 - share) / count + slack / (4 * count)) ** 0.5
    # At the ends the bounds are exactly 0 and 1, which rounding would miss.
    return (0.0 if right == 0 else middle - half, 1.0 if right == count else middle + half)


def bootstrap(strata: Sequence[ByPrompt], resamples: int, seed: int) -> Interval:
    """The interval of a mean over responses, or of the mean of several such, from prompts drawn with replacement.

    Args:
        strata: the prompts of each mean; a prompt without known values is left out.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979); percentiles.
    """
    means = np.zeros(resamples)
    for number, prompts in enumerate(strata):
        known = [values for values in prompts if len(values)]
        sums = np.array([sum(values) for values in known], dtype=np.float64)
        counts = np.array([len(values) for values in known], dtype=np.float64)
        draw, step = np.random.default_rng([seed, number]), max(1, CELLS // len(known))
        for at in range(0, resamples, step):
            rows = draw.integers(len(known), size=(min(step, resamples - at), len(known)))
            means[at : at + step] += sums[rows].sum(1) / counts[rows].sum(1)
    low, high = np.percentile(means / len(strata), TAILS)
    return float(low), float(high)


def interval(prompts: ByPrompt, resamples: int, seed: int) -> Interval:
    """Wilson's interval where every prompt has one answer that is right or wrong, otherwise from a bootstrap.

    Where all answers are right, or all wrong, resamples show no doubt: there it is Wilson's too, of so many prompts.
    """
    known = [own for own in prompts if len(own)]
    values = {value for own in known for value in own}
    if values <= {0, 1} and (len(values) == 1 or all(len(own) == 1 for own in known)):
        return wilson(sum(own[0] for own in known), len(known))
    return bootstrap([prompts], resamples, seed)
