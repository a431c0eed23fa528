"""Means over seeds with intervals of 95 %, by Student's t."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    half: float | None
    """Half the width of its interval; None of a single seed, of which nothing is known."""
    count: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and interval of independent values; None of no values.

    Half the interval is t s / sqrt(n), with s the sample deviation and t the quantile of n - 1 degrees of freedom.
    """
    count = len(values)
    if not count:
        return None
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Estimate(mean, quantile(count - 1) * math.sqrt(variance / count), count)


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Estimate | None:
    """The mean difference of two points over the seeds that both have: what seeds share does not count."""
    return estimate([value - others[seed] for seed, value in values.items() if seed in others])


def comparable(values: Sequence[Mapping[int, float]]) -> list[float]:
    """Means of several things over the seeds that all of them have, as seeds may differ by more than the things do.

    Where they have none in common, each mean is over all of its own.
    """
    shared = set.intersection(*map(set, values))
    return [math.fsum(own[seed] for seed in shared or own) / len(shared or own) for own in values]


def within(values: Mapping[str, Mapping[int, float]]) -> dict[str, Estimate]:
    """Means of several things over the seeds that all of them have, with intervals that leave out what seeds share.

    Of each value the mean of its seed is taken off; what is left of J things varies too little, by (J - 1) / J.

    Source: Cousineau (2005), Tutorials in Quantitative Methods for Psychology 1; the correction: Morey (2008), ibid. 4.
    """
    count = len(values)
    seeds = sorted(set.intersection(*(set(own) for own in values.values()))) if values else []
    if count < 2 or len(seeds) < 2:
        return {name: found for name, own in values.items() if (found := estimate(list(own.values())))}
    shared = {seed: math.fsum(own[seed] for own in values.values()) / count for seed in seeds}
    found = {}
    for name, own in values.items():
        left = estimate([own[seed] - shared[seed] for seed in seeds])
        assert left is not None
        assert left.half is not None
        mean = math.fsum(own[seed] for seed in seeds) / len(seeds)
        found[name] = Estimate(mean, left.half * math.sqrt(count / (count - 1)), len(seeds))
    return found


@cache
def quantile(freedom: int, level: float = LEVEL) -> float:
    """The t within which a Student variable lies with this probability."""
    import mpmath

    def inside(t: float) -> float:
        return 1 - float(mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True))

    low, high = 0.0, 1.0
    while inside(high) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < level else (low, middle)
    return (low + high) / 2
