"""`unigrpo eval`."""

import json
from dataclasses import asdict
from pathlib import Path

from rewards.extract import answer_part
from rewards.scorer import Scorer
from rollout.colocated import set_threads
from rollout.sampler import Sampler
from unigrpo import report
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import VERBS
from unigrpo.config import EvalConfig, RewardEntry
from unigrpo.config.files import write_atomically
from unigrpo.data.load import load_prompts
from unigrpo.evaluate import evaluation_metrics
from unigrpo.models.load import load_policy
from unigrpo.progress import progress
from unigrpo.runs import check_run, open_run
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
    rewards = config.rewards or {"math": RewardEntry()}
    scorer = Scorer(rewards)
    policy = load_policy(config.model, seed=config.seed)
    prompts = load_prompts(config.data, policy.tokenizer, policy.ids)[: config.limit]
    scorer.check(prompts)
    sampler = Sampler(policy, config.rollout, config.seed)
    scored: list[Scored] = []
    group = max(1, config.rollout.batch_size // config.samples)
    with progress("Evaluation", len(prompts)) as bar:
        for at in range(0, len(prompts), group):
            part = prompts[at : at + group]
            scored += scorer.score(sampler.sample(part, config.samples, "eval"))
            solved = config.solved or next(iter(rewards))
            metrics = evaluation_metrics(scored, config.samples, solved)
            bar.update(metrics, advance=len(part))
    metrics["eval/stderr"] = (metrics["eval/accuracy"] * (1 - metrics["eval/accuracy"]) / len(scored)) ** 0.5
    folder = open_run(config.output, config, overwrite=config.overwrite)
    _write(folder, config, metrics, scored, len(prompts))
    return metrics


def _write(folder: Path, config: EvalConfig, metrics: Metrics, scored: list[Scored], prompts: int) -> None:
    rows = [
        {
            "id": item.rollout.id,
            "prompt": item.rollout.prompt.text,
            "output": item.rollout.output,
            "extracted": answer_part(item.rollout.output),
            "answer": item.rollout.prompt.answer,
            "reward": item.reward,
            "parts": item.parts,
            "truncated": item.rollout.truncated,
        }
        for item in scored
    ]
    write_atomically(folder / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    protocol = {"model": config.model.path, "prompts": prompts, "samples": config.samples, **asdict(config.rollout)}
    found = {"metrics": metrics, "protocol": protocol}
    write_atomically(folder / "metrics.json", json.dumps(found, indent=2) + "\n")
    write_atomically(
        folder / "table.md", report.table([{"metric": n, "value": f"{v:.4f}"} for n, v in metrics.items()]) + "\n"
    )
