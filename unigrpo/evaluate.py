"""Evaluation: answer prompts, score the answers, report accuracy and pass@k."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from unigrpo.config import TaskSection
from unigrpo.types import Metrics, Prompt, Rollout, Scored

SOLVED_AT = 1.0


class Samples(Protocol):
    """Whatever draws rollouts: a `rollout.Sampler`, or an actor that hosts one."""

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, step: int | str, temperature: float | None = None
    ) -> list[Rollout]:
        """Draws a group for each prompt, groups next to each other."""
        ...


class Scores(Protocol):
    """Whatever scores rollouts: a `rewards.Scorer`, or an actor that hosts one."""

    def score(self, rollouts: list[Rollout]) -> list[Scored]:
        """Scores rollouts in their order."""
        ...


def pass_at_k(samples: int, solved: int, k: int) -> float:
    """Probability that at least one of k answers, drawn without replacement from `samples`, is right.

    Source: Chen et al., "Evaluating Large Language Models Trained on Code" (arXiv:2107.03374), equation 1.
    """
    return 1 - math.comb(samples - solved, k) / math.comb(samples, k)


def powers_up_to(samples: int) -> list[int]:
    """1, 2, 4, ... and `samples` itself."""
    return sorted({1 << power for power in range(samples.bit_length())} | {samples})


def solved_by(tasks: Mapping[str, TaskSection]) -> dict[str, str]:
    """The reward whose value of at least 1 means solved, for each task by name."""
    return {name: task.solved or next(iter(task.rewards)) for name, task in tasks.items()}


def evaluation_metrics(scored: Sequence[Scored], samples: int, solved: Mapping[str, str]) -> Metrics:
    """Accuracy, pass@k, mean reward and parts of groups of `samples` scored answers.

    With several tasks each has its own, as `eval/NAME/accuracy`; `eval/accuracy` and `eval/reward` are means over them.

    Args:
        solved: for each task, the part whose value of at least 1 counts as solved.
    """
    streams = list(dict.fromkeys(item.rollout.prompt.stream for item in scored))
    if len(streams) == 1:
        return _metrics(scored, samples, solved[streams[0]])
    metrics: Metrics = {}
    for stream in streams:
        own = _metrics([item for item in scored if item.rollout.prompt.stream == stream], samples, solved[stream])
        metrics |= {name.replace("/", f"/{stream}/", 1): value for name, value in own.items()}
    means = {
        f"eval/{name}": sum(metrics[f"eval/{stream}/{name}"] for stream in streams) / len(streams)
        for name in ("accuracy", "reward")
    }
    return means | metrics


def _metrics(scored: Sequence[Scored], samples: int, solved: str) -> Metrics:
    right = [item.parts.get(solved, 0.0) >= SOLVED_AT for item in scored]
    groups = [sum(right[at : at + samples]) for at in range(0, len(right), samples)]
    metrics = {
        "eval/accuracy": sum(right) / len(right),
        "eval/reward": sum(item.reward for item in scored) / len(scored),
        "eval/truncated": sum(item.rollout.truncated for item in scored) / len(scored),
    }
    for k in powers_up_to(samples)[1:]:
        metrics[f"eval/pass@{k}"] = sum(pass_at_k(samples, count, k) for count in groups) / len(groups)
    return metrics | {f"eval/{name}": value for name, value in part_means(scored).items()}


def part_means(scored: Sequence[Scored]) -> dict[str, float]:
    """Mean of each unweighted part, over the responses it applied to."""
    values: dict[str, list[float]] = {}
    for item in scored:
        for name, value in item.parts.items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in sorted(values.items())}


def evaluate(
    sampler: Samples,
    scorer: Scores,
    prompts: Sequence[Prompt],
    samples: int,
    solved: Mapping[str, str],
    temperature: float | None = None,
) -> tuple[Metrics, list[Scored]]:
    """Answers every prompt `samples` times. The draws depend on the seed alone, so two policies see the same chance."""
    scored = scorer.score(sampler.sample(prompts, samples, "eval", temperature))
    return evaluation_metrics(scored, samples, solved), scored
