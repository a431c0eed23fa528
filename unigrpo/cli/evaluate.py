"""`unigrpo eval`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unigrpo import environment, report
from unigrpo.cli.answering import Answering
from unigrpo.cli.evaluated import answers, headline, keep, protocol_of
from unigrpo.cli.suites import changed, configs_of, take_suites
from unigrpo.config import EvalConfig, ImageTokenizerSection, ModelSection
from unigrpo.config.files import write_atomically
from unigrpo.failing import check_failed
from unigrpo.machine import set_threads
from unigrpo.models.load import Policy, load_policy
from unigrpo.runs import check_run, open_run
from unigrpo.types import Metrics


def run(args: list[str]) -> int:
    """Evaluates a model, on several suites if they are named, and prints tables of the results."""
    files, root, rest = take_suites(args)
    configs = configs_of(files, root, rest)
    for config in configs:
        check_run(config.output, config, overwrite=config.overwrite)
    policy, loaded, rows = None, None, []
    for number, config in enumerate(configs):
        set_threads(config.cluster.threads)
        if policy is None or loaded != (_without_images(config), config.seed):
            policy = None  # two of them might not fit
            loaded = _without_images(config), config.seed
            policy = load_policy(loaded[0], seed=config.seed)
        differs = changed(files[number], config) if files else {}
        metrics = evaluate_from(config, policy, differs)
        print((Path(config.output) / "table.md").read_text(), end="")
        print(f"{config.output}/metrics.json  {len(metrics)} metrics; every answer is in samples.jsonl\n")
        rows.append(headline(Path(config.output)))
    if len(configs) > 1:
        write_atomically(Path(configs[0].output).parent / "suites.md", report.table(rows))
        print(report.table(rows), end="")
    return 0


def _without_images(config: EvalConfig) -> ModelSection:
    """The model alone, which suites have in common unless one names its own."""
    return replace(config.model, image_tokenizer=ImageTokenizerSection(), legacy_visible_pads=False)


def evaluate_from(config: EvalConfig, policy: Policy, differs: Mapping[str, Any]) -> Metrics:
    """Answers and scores all prompts, and writes samples.jsonl, metrics.json, table.md and table.png.

    Args:
        policy: the model of the config.
        differs: what was set beside a suite.
    """
    work = Answering.of(config, policy)
    scored = work.answer()
    folder = open_run(config.output, config, overwrite=config.overwrite)
    environment.record(folder)
    write_atomically(folder / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in answers(scored)))
    check_failed(scored, config.max_failed, f"{folder}/samples.jsonl")
    protocol = protocol_of(work.config, work.tasks, len(work.prompts), differs)
    found = {**work.measure(scored), "protocol": protocol}
    keep(folder, found, scored, work.tasks)
    return found["metrics"]
