"""The answers of an evaluation: sampled and rewarded, or compared by likelihood, task by task."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rewards.tasks import TaskScorer
from rollout.choices import Chooser
from rollout.colocated import load_images
from rollout.sampler import Sampler
from unigrpo.benchmarks import check_drawn
from unigrpo.categories import by_category, check_categories
from unigrpo.cli.frechet import Frechet
from unigrpo.cli.prompts import held_out_prompts
from unigrpo.config import DataSection, EvalConfig, EvalTaskSection
from unigrpo.config.evaluation import COMPARED
from unigrpo.config.tasks import eval_tasks_of, rewards_of
from unigrpo.evaluate import evaluation_intervals, evaluation_metrics, solved_by
from unigrpo.intervals import Interval
from unigrpo.mismatch import mismatch
from unigrpo.models.load import Policy
from unigrpo.progress import progress
from unigrpo.summaries import check_summed, summary
from unigrpo.types import Metrics, Prompt, Rollout, Scored

COMPARED_AT_ONCE = 16
"""Prompts whose choices are compared between two looks at the progress."""
SHOWN_AGAIN = 1.1
"""Times as many answers as before are shown with a new accuracy, so that all of these take time by their number."""


@dataclass(frozen=True, eq=False)
class Answering:
    """All that an evaluation needs, loaded and checked."""

    config: EvalConfig
    tasks: Mapping[str, EvalTaskSection]
    prompts: list[Prompt]
    sampler: Sampler
    scorer: TaskScorer
    """Of the tasks that have rewards."""
    chooser: Chooser
    """Of the tasks whose choices are compared."""
    distances: Mapping[str, Frechet]
    """Of the tasks whose drawings are."""

    @classmethod
    def of(cls, config: EvalConfig, policy: Policy) -> "Answering":
        """Loads the prompts, and finds the rewards and what else is to judge."""
        tasks = {name: replace(task, rewards=rewards_of(config, task)) for name, task in eval_tasks_of(config).items()}
        scorer = TaskScorer({name: task.rewards for name, task in tasks.items() if task.rewards})
        images = load_images(config)
        data: dict[str, DataSection | None] = {name: task.data for name, task in tasks.items()}
        pads = config.model.legacy_visible_pads
        prompts = held_out_prompts(data, policy.tokenizer, policy.ids, images, config.limit, pads)
        check_categories(prompts, config)
        own = {name: [prompt for prompt in prompts if prompt.stream == name] for name in tasks}
        for name, task in tasks.items():
            if task.summary:
                check_summed(task.summary, own[name])
            if task.drawings:
                check_drawn(task.drawings, own[name])
        scorer.check([prompt for prompt in prompts if prompt.stream in scorer.tasks])
        chooser = Chooser(policy, {name: task for name, task in tasks.items() if task.likelihood}, config.seed)
        chooser.check([prompt for prompt in prompts if prompt.stream in chooser.tasks])
        keys = {name: f"tasks.{name}.fid" if name else "fid" for name in tasks}
        distances = {
            name: Frechet(task.fid, keys[name], len(own[name]) * config.samples)
            for name, task in tasks.items()
            if task.fid
        }
        sampler = Sampler(policy, {name: task.rollout for name, task in tasks.items()}, config.seed, images)
        return cls(config, tasks, prompts, sampler, scorer, chooser, distances)

    @property
    def solved(self) -> dict[str, str | None]:
        """The part that says whether a response is right, for each task."""
        return solved_by(self.tasks) | {
            name: task.solved or COMPARED[0] for name, task in self.tasks.items() if task.likelihood
        }

    def answer(self) -> list[Scored]:
        """Answers and judges all prompts."""
        scored: list[Scored] = []
        shown = 0
        with progress("Evaluation", len(self.prompts)) as bar:
            for part in self._parts():
                scored += self._answered(part)
                metrics: Metrics = {}
                if len(scored) >= SHOWN_AGAIN * shown or len(scored) == len(self.prompts) * self.config.samples:
                    shown, metrics = len(scored), evaluation_metrics(scored, self.config.samples, self.solved)
                bar.update(metrics, advance=len(part))
        return scored

    def measure(self, scored: list[Scored]) -> dict[str, Any]:
        """Metrics, their intervals, and the same for each category."""
        samples, seed, resamples = self.config.samples, self.config.seed, self.config.bootstrap
        metrics: Metrics = evaluation_metrics(scored, samples, self.solved) | mismatch(scored)
        intervals = evaluation_intervals(scored, samples, self.solved, resamples, seed)
        for name, (value, bounds) in self._summaries(scored):
            metrics[name], intervals[name] = value, bounds
        for name, distance in self.distances.items():
            metrics[f"eval/{name}/fid" if name else "eval/fid"] = distance.distance(_of(name, scored))
        categories = by_category(scored, self.config, self.solved)
        return {"metrics": metrics, "intervals": intervals, "categories": categories}

    def _answered(self, part: list[Prompt]) -> list[Scored]:
        if part[0].stream in self.chooser.tasks:
            return self.chooser.answer(part)
        drawn = self.sampler.sample(part, self.config.samples, "eval")
        judged = part[0].stream in self.scorer.tasks
        return self.scorer.score(drawn, normalize=False) if judged else list(map(_unjudged, drawn))

    def _parts(self) -> Iterator[list[Prompt]]:
        """The prompts of each task in its order, as many at a time as fill a batch."""
        at = 0
        while at < len(self.prompts):
            name = self.prompts[at].stream
            task = self.tasks[name]
            size = COMPARED_AT_ONCE if task.likelihood else max(1, task.rollout.batch_size // self.config.samples)
            part = [prompt for prompt in self.prompts[at : at + size] if prompt.stream == name]
            at += len(part)
            yield part

    def _summaries(self, scored: list[Scored]) -> Iterator[tuple[str, tuple[float, Interval]]]:
        """What some benchmarks report beside accuracy."""
        for name, task in self.tasks.items():
            if task.summary:
                known = [item for item in _of(name, scored) if item.known]
                for key, value in summary(task.summary, known, self.config.bootstrap, self.config.seed).items():
                    yield f"eval/{name}/{key}" if name else f"eval/{key}", value


def _of(name: str, scored: list[Scored]) -> list[Scored]:
    return [item for item in scored if item.rollout.prompt.stream == name]


def _unjudged(rollout: Rollout) -> Scored:
    """What has no reward earns nothing."""
    return Scored(rollout=rollout, reward=0.0, parts={})
