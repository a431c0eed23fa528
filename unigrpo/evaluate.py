"""Evaluation: answer prompts, score the answers, report accuracy and pass@k."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from unigrpo.config import TaskSection
from unigrpo.summary import fault_rates, part_means, share
from unigrpo.types import Metrics, Prompt, Rollout, Scored

SOLVED_AT = 1.0


class Samples(Protocol):
    """Whatever draws rollouts: a `rollout.Sampler`, or an actor that hosts one."""

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, step: int | str, temperature: float | None = None
    ) -> list[Rollout]:
        """Draws a group for each prompt, groups next to each other."""
        ...


Begun = tuple[Sequence[Rollout], Callable[[], Any]]
"""Rollouts that are being judged, and how to wait for it."""


class Scores(Protocol):
    """Whatever scores rollouts: a `rewards.tasks.TaskScorer`, or one in actors."""

    def begin(self, rollouts: list[Rollout]) -> Callable[[], Any]:
        """Starts to judge rollouts, as far as that goes on beside what the caller does next."""
        ...

    def finish(self, begun: Sequence[Begun], normalize: bool = True) -> list[Scored]:
        """Waits, and puts together what each rollout earns; without `normalize`, each by itself."""
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
    for name in ("accuracy", "reward"):
        found = [metrics[key] for stream in streams if (key := f"eval/{stream}/{name}") in metrics]
        if found:
            metrics[f"eval/{name}"] = sum(found) / len(found)
    return metrics


def _metrics(scored: Sequence[Scored], samples: int, solved: str) -> Metrics:
    """A response whose reward failed is neither right nor wrong; a prompt with one is left out of pass@k."""
    right = [_right(item, solved) for item in scored]
    judged = [found for found in right if found is not None]
    known = [item.reward for item in scored if item.known]
    metrics: Metrics = {}
    if judged:
        metrics["eval/accuracy"] = share(judged)
    if known:
        metrics["eval/reward"] = sum(known) / len(known)
    metrics["eval/failed"] = share(not item.known for item in scored)
    metrics["eval/truncated"] = share(item.rollout.truncated for item in scored)
    groups = [right[at : at + samples] for at in range(0, len(right), samples)]
    counts = [sum(map(bool, group)) for group in groups if None not in group]
    for k in powers_up_to(samples)[1:] if counts else []:
        metrics[f"eval/pass@{k}"] = sum(pass_at_k(samples, count, k) for count in counts) / len(counts)
    found = part_means(scored) | fault_rates(scored)
    return metrics | {f"eval/{name}": value for name, value in found.items()}


def _right(item: Scored, solved: str) -> bool | None:
    value = item.parts.get(solved, 0.0)
    return None if math.isnan(value) else value >= SOLVED_AT


def evaluate(
    sampler: Samples,
    scorer: Scores,
    prompts: Sequence[Prompt],
    samples: int,
    solved: Mapping[str, str],
    temperature: float | None = None,
) -> tuple[Metrics, list[Scored]]:
    """Answers every prompt `samples` times. The draws depend on the seed alone, so two policies see the same chance."""
    rollouts = sampler.sample(prompts, samples, "eval", temperature)
    scored = scorer.finish([(rollouts, scorer.begin(rollouts))], normalize=False)
    return evaluation_metrics(scored, samples, solved), scored
