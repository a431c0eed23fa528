"""Evaluation: answer prompts, score the answers, report accuracy and pass@k."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from unigrpo.config import TaskSection
from unigrpo.intervals import Interval, bootstrap, interval
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


def solved_by(tasks: Mapping[str, TaskSection]) -> dict[str, str | None]:
    """The reward whose value of at least 1 means solved, for each task by name; None where nothing is judged."""
    return {name: task.solved or next(iter(task.rewards), None) for name, task in tasks.items()}


def evaluation_metrics(scored: Sequence[Scored], samples: int, solved: Mapping[str, str | None]) -> Metrics:
    """Accuracy, pass@k, mean reward and parts of groups of `samples` scored answers.

    With several tasks each has its own, as `eval/NAME/accuracy`; `eval/accuracy` and `eval/reward` are means over them.

    Args:
        solved: for each task, the part whose value of at least 1 counts as solved.
    """
    found = measures(scored, samples, solved)
    return {name: _mean([_mean(_flat(prompts)) for prompts in strata]) for name, strata in found.items()}


def evaluation_intervals(
    scored: Sequence[Scored], samples: int, solved: Mapping[str, str | None], resamples: int, seed: int
) -> dict[str, Interval]:
    """The interval of each of `evaluation_metrics`: Wilson's, or from so many resamples of the prompts."""
    return {
        name: interval(strata[0], resamples, seed) if len(strata) == 1 else bootstrap(strata, resamples, seed)
        for name, strata in measures(scored, samples, solved).items()
    }


def measures(
    scored: Sequence[Scored], samples: int, solved: Mapping[str, str | None]
) -> dict[str, list[list[list[float]]]]:
    """What each metric is the mean of: values by prompt, of one task or, for a mean over tasks, of each."""
    streams = list(dict.fromkeys(item.rollout.prompt.stream for item in scored))
    if len(streams) == 1:
        return {name: [values] for name, values in _measures(scored, samples, solved[streams[0]]).items()}
    found: dict[str, list[list[list[float]]]] = {}
    overall: dict[str, list[list[list[float]]]] = {}
    for stream in streams:
        of_task = [item for item in scored if item.rollout.prompt.stream == stream]
        own = _measures(of_task, samples, solved[stream])
        found |= {name.replace("/", f"/{stream}/", 1): [values] for name, values in own.items()}
        for name in ("eval/accuracy", "eval/reward"):
            if name in own:
                overall.setdefault(name, []).append(own[name])
    return found | overall


def _measures(scored: Sequence[Scored], samples: int, solved: str | None) -> dict[str, list[list[float]]]:
    """A response whose reward failed is neither right nor wrong; a prompt with one is left out of pass@k."""
    groups = [scored[at : at + samples] for at in range(0, len(scored), samples)]

    def of(value: Callable[[Scored], float | bool | None]) -> list[list[float]]:
        return [[float(found) for item in group if (found := value(item)) is not None] for group in groups]

    found: dict[str, list[list[float]]] = {}
    if solved is not None:
        found["eval/accuracy"] = of(lambda item: _right(item, solved))
        found["eval/reward"] = of(lambda item: item.reward if item.known else None)
        found["eval/failed"] = of(lambda item: not item.known)
    found["eval/truncated"] = of(lambda item: item.rollout.truncated)
    if solved is not None:
        right = [[_right(item, solved) for item in group] for group in groups]
        counts = [None if None in group else sum(map(bool, group)) for group in right]
        for k in powers_up_to(samples)[1:]:
            passed = [[] if count is None else [pass_at_k(samples, count, k)] for count in counts]
            found[f"eval/pass@{k}"] = passed
    for name in sorted({name for item in scored for name in item.parts}):
        found[f"eval/{name}"] = of(lambda item, name=name: _finite(item.parts.get(name)))
    for name, fault in sorted({(name, fault) for item in scored for name, fault in item.faults.items()}):
        found[f"eval/{name}/{fault}"] = of(lambda item, name=name, fault=fault: item.faults.get(name) == fault)
    return {name: values for name, values in found.items() if any(values)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _flat(prompts: Sequence[Sequence[float]]) -> list[float]:
    return [value for own in prompts for value in own]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _right(item: Scored, solved: str) -> bool | None:
    value = item.parts.get(solved, 0.0)
    return None if math.isnan(value) else value >= SOLVED_AT


def evaluate(
    sampler: Samples,
    scorer: Scores,
    prompts: Sequence[Prompt],
    samples: int,
    solved: Mapping[str, str | None],
    temperature: float | None = None,
) -> tuple[Metrics, list[Scored]]:
    """Answers every prompt `samples` times. The draws depend on the seed alone, so two policies see the same chance."""
    rollouts = sampler.sample(prompts, samples, "eval", temperature)
    scored = scorer.finish([(rollouts, scorer.begin(rollouts))], normalize=False)
    return evaluation_metrics(scored, samples, solved), scored
