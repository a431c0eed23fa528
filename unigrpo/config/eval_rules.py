"""Rules of an evaluation: what is compared, what is drawn, and what stands in front of a prompt."""

from collections.abc import Callable
from dataclasses import fields

from unigrpo.config.evaluation import EvalConfig, EvalTaskSection
from unigrpo.config.sections import DRAWING, SamplingSection
from unigrpo.config.sft import SFTConfig
from unigrpo.config.tasks import ALONE, eval_tasks_of, streams_of, tasks_of
from unigrpo.config.verbs import TrainConfig


def _each(it: EvalConfig, rule: Callable[[EvalTaskSection, str], str | None]) -> str | None:
    tasks = {f"tasks.{name}." if name != ALONE else "": task for name, task in eval_tasks_of(it).items()}
    return next(filter(None, (rule(task, prefix) for prefix, task in tasks.items())), None)


def comparing_takes_the_place_of_sampling(it: EvalConfig) -> str | None:
    """Where likelihoods are compared nothing is sampled, and so nothing is rewarded."""
    return _each(it, lambda task, p: _compares(task, it.samples, p))


def _compares(task: EvalTaskSection, samples: int, p: str) -> str | None:
    if task.likelihood is None:
        return None
    if task.data.task in DRAWING:
        return f"{p}likelihood is set, but {p}data.task is {task.data.task}, which has no choices: drop it."
    if task.rewards:
        return f"{p}rewards is set, but {p}likelihood compares choices and rewards nothing: drop one of them."
    if samples > 1:
        return f"samples is {samples}, but {p}likelihood has one answer for each prompt: set samples=1."
    default = EvalTaskSection().rollout
    for field in fields(SamplingSection):
        if getattr(task.rollout, field.name) != getattr(default, field.name):
            return f"{p}rollout.{field.name} is set, but {p}likelihood compares choices and samples nothing: drop it."
    return None


def drawings_are_drawn(it: EvalConfig) -> str | None:
    """Only drawings are kept as such."""
    return _each(it, _draws)


def _draws(task: EvalTaskSection, p: str) -> str | None:
    if task.data.task in DRAWING:
        return None
    if task.drawings:
        return f"{p}drawings is {task.drawings}, but {p}data.task={task.data.task} draws nothing: drop it."
    return f"{p}fid is set, but {p}data.task={task.data.task} draws nothing: drop it." if task.fid else None


def summaries_are_of_one_answer(it: EvalConfig) -> str | None:
    """What is summed up is judged, and answered once."""

    def rule(task: EvalTaskSection, p: str) -> str | None:
        if task.summary and "yes_no" not in task.rewards:
            return f"{p}summary is {task.summary}, made of a reward: set {p}rewards.yes_no.weight=1, or drop it."
        if task.summary and it.samples > 1:
            return f"samples is {it.samples}, but {p}summary={task.summary} is of one answer: set samples=1."
        return None

    return _each(it, rule)


def categories_are_named_once(it: EvalConfig) -> str | None:
    """Each category is a column, once."""

    def rule(task: EvalTaskSection, p: str) -> str | None:
        twice = len(set(task.categories)) < len(task.categories)
        return f"{p}categories names a column twice: {', '.join(task.categories)}." if twice else None

    return _each(it, rule)


def given_responses_stand_somewhere(it: TrainConfig | EvalConfig) -> str | None:
    """A delimiter is in front of something."""
    for name, task in tasks_of(it).items():
        p = f"tasks.{name}." if name != ALONE else ""
        compared = isinstance(task, EvalTaskSection) and task.likelihood is not None
        for key, data in ((f"{p}data", task.data), (f"{p}eval" if name else "eval.data", task.eval)):
            solved = data is not None and data.shots is not None and data.template == "plain"
            if data is not None and data.delimiter and not solved and not compared:
                return (
                    f"{key}.delimiter is {data.delimiter!r}, but it is only used with {key}.shots and "
                    f"{key}.template=plain, or where likelihoods are compared: drop it."
                )
    return None


def examples_have_no_shots(it: SFTConfig) -> str | None:
    """What is learned stands alone."""
    for name, stream in streams_of(it).items():
        for section in (stream.data, stream.held_out, *(entry.data for entry in stream.mix.values())):
            if section is not None and (section.shots is not None or section.delimiter):
                found = "shots" if section.shots is not None else "delimiter"
                key = f"streams.{name}.data" if name else "data"
                return f"{key}.{found} is set, but it is for rollouts and evaluations: drop it."
    return None


EVAL_ONLY_RULES = [
    comparing_takes_the_place_of_sampling,
    drawings_are_drawn,
    categories_are_named_once,
    summaries_are_of_one_answer,
]
