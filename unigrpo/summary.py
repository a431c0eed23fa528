"""What a step's scored rollouts amount to, as metrics."""

import math
from collections.abc import Iterable, Sequence

from unigrpo.algo.advantage import EQUAL
from unigrpo.types import Metrics, Scored


def differ(rewards: Sequence[float]) -> bool:
    """Whether a group teaches anything: two rewards that are known are not equal."""
    known = [reward for reward in rewards if math.isfinite(reward)]
    return bool(known) and max(known) - min(known) > EQUAL


def summarize(scored: Sequence[Scored], group_size: int) -> Metrics:
    """Rewards and lengths of one step, over all tasks and, when there are several, of each."""
    streams = dict.fromkeys(item.rollout.prompt.stream for item in scored)
    metrics = _summary(scored, group_size)
    if len(streams) > 1:
        for stream in streams:
            own = _summary([item for item in scored if item.rollout.prompt.stream == stream], group_size)
            metrics |= {name.replace("/", f"/{stream}/", 1): value for name, value in own.items()}
    return metrics | _seconds(scored)


def _summary(scored: Sequence[Scored], group_size: int) -> Metrics:
    rewards = [item.reward for item in scored]
    groups = [rewards[at : at + group_size] for at in range(0, len(rewards), group_size)]
    lengths = [int(item.rollout.sampled.sum()) for item in scored]
    metrics = {
        "reward/failed": share(not item.known for item in scored),
        "reward/zero_std": share(not differ(group) for group in groups),
        "rollout/forwards": sum(item.rollout.forwards for item in scored) / len(scored),
        "rollout/length": sum(lengths) / len(lengths),
        "rollout/truncated": share(item.rollout.truncated for item in scored),
    }
    known = [item.reward for item in scored if item.known]
    if known:
        mean = sum(known) / len(known)
        metrics["reward/mean"] = mean
        metrics["reward/std"] = (sum((value - mean) ** 2 for value in known) / len(known)) ** 0.5
    found = part_means(scored) | fault_rates(scored)
    return metrics | {f"reward/{name}": value for name, value in found.items()}


def share(values: Iterable[bool]) -> float:
    """Of some answers, the share that is yes."""
    found = list(values)
    return sum(found) / len(found)


def part_means(scored: Sequence[Scored]) -> Metrics:
    """Mean of each unweighted part, over the responses that it applied to and did not fail for."""
    values: dict[str, list[float]] = {}
    for item in scored:
        for name, value in item.parts.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in sorted(values.items())}


def fault_rates(scored: Sequence[Scored]) -> Metrics:
    """Share of the responses that stopped a reward, as `NAME/timeout` and the like, or for which it failed."""
    kinds = sorted({(name, fault) for item in scored for name, fault in item.faults.items()})
    return {f"{name}/{fault}": share(item.faults.get(name) == fault for item in scored) for name, fault in kinds}


def _seconds(scored: Sequence[Scored]) -> Metrics:
    """What each reward took, over all who judge."""
    seconds: Metrics = {}
    for item in scored:
        for name, took in item.seconds.items():
            seconds[f"time/reward/{name}"] = seconds.get(f"time/reward/{name}", 0.0) + took
    return seconds
