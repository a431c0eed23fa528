"""`unigrpo eval`."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

from rewards.extract import answer_part
from rewards.tasks import TaskScorer
from rollout.colocated import load_images, set_threads
from rollout.sampler import Sampler
from unigrpo import gallery, report
from unigrpo.cli.prompts import held_out_prompts
from unigrpo.cli.rewards_words import rewards_of
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import VERBS
from unigrpo.config import EvalConfig, tasks_of
from unigrpo.config.files import write_atomically
from unigrpo.config.tasks import ALONE
from unigrpo.evaluate import evaluation_metrics, solved_by
from unigrpo.failing import check_failed
from unigrpo.models.load import load_policy
from unigrpo.progress import progress
from unigrpo.runs import check_run, open_run
from unigrpo.tracking import columns, earned
from unigrpo.types import Metrics, Scored


def run(args: list[str]) -> int:
    """Evaluates a model and prints a table of the result."""
    config = VERBS["eval"].checked(expand(args, "eval"))
    metrics = evaluate_from(config)
    print((Path(config.output) / "table.md").read_text(), end="")
    print(f"{config.output}/metrics.json  {len(metrics)} metrics; every answer is in samples.jsonl")
    return 0


def evaluate_from(config: EvalConfig) -> Metrics:
    """Answers and scores all prompts, and writes samples.jsonl, metrics.json and table.md."""
    set_threads(config.cluster.threads)
    check_run(config.output, config, overwrite=config.overwrite)
    tasks = {name: replace(task, rewards=rewards_of(config, task)) for name, task in tasks_of(config).items()}
    scorer = TaskScorer({name: task.rewards for name, task in tasks.items()})
    policy, images = load_policy(config.model, seed=config.seed), load_images(config)
    prompts = held_out_prompts(
        {name: task.data for name, task in tasks.items()},
        policy.tokenizer,
        policy.ids,
        images,
        config.limit,
        config.model.legacy_visible_pads,
    )
    scorer.check(prompts)
    sampler = Sampler(policy, {name: task.rollout for name, task in tasks.items()}, config.seed, images)
    scored: list[Scored] = []
    metrics: Metrics = {}
    size = max(1, min(task.rollout.batch_size for task in tasks.values()) // config.samples)
    with progress("Evaluation", len(prompts)) as bar:
        for at in range(0, len(prompts), size):
            part = prompts[at : at + size]
            scored += scorer.score(sampler.sample(part, config.samples, "eval"), normalize=False)
            metrics = evaluation_metrics(scored, config.samples, solved_by(tasks))
            bar.update(metrics, advance=len(part))
    folder = open_run(config.output, config, overwrite=config.overwrite)
    _write_samples(folder, scored)
    check_failed(scored, config.max_failed, f"{folder}/samples.jsonl")
    if len(tasks) == 1 and "eval/accuracy" in metrics:
        [solved] = solved_by(tasks).values()
        judged = sum(not math.isnan(item.parts.get(solved, 0.0)) for item in scored)
        metrics["eval/stderr"] = (metrics["eval/accuracy"] * (1 - metrics["eval/accuracy"]) / judged) ** 0.5
    _write(folder, config, metrics, scored, len(prompts))
    return metrics


def _write_samples(folder: Path, scored: list[Scored]) -> None:
    rows = [
        {
            "id": item.rollout.id,
            "task": item.rollout.prompt.stream or item.rollout.prompt.task,
            "prompt": item.rollout.prompt.text,
            "output": item.rollout.output,
            "extracted": answer_part(item.rollout.output),
            "answer": item.rollout.prompt.answer,
            **earned(item),
            "truncated": item.rollout.truncated,
            **columns(item.rollout.prompt),
        }
        for item in scored
    ]
    write_atomically(folder / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _write(folder: Path, config: EvalConfig, metrics: Metrics, scored: list[Scored], prompts: int) -> None:
    gallery.keep(folder, 0, scored)
    sampling = {name: asdict(task.rollout) for name, task in tasks_of(config).items()}
    sampling = sampling.get(ALONE, sampling)
    protocol = {"model": config.model.path, "prompts": prompts, "samples": config.samples, **sampling}
    found = {"metrics": metrics, "protocol": protocol}
    write_atomically(folder / "metrics.json", json.dumps(found, indent=2) + "\n")
    write_atomically(
        folder / "table.md", report.table([{"metric": n, "value": f"{v:.4f}"} for n, v in metrics.items()]) + "\n"
    )
