"""`unigrpo rewards check`: right and wrong answers to the user's own data, before anything is trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.classes import Built
from rewards.scorer import Scorer
from rewards.tasks import of_task
from unigrpo.cli.main import show
from unigrpo.cli.rewards_examine import Finding, Report, examine
from unigrpo.cli.rewards_golds import flaw, prose_among
from unigrpo.cli.rewards_rows import Example, asked_format, examples_of
from unigrpo.cli.rewards_tables import render
from unigrpo.cli.rewards_words import configured, take
from unigrpo.config import RewardEntry, TaskSection, tasks_of
from unigrpo.config.tasks import rewards_of
from unigrpo.errors import RewardError
from unigrpo.progress import progress
from unigrpo.tracking import printable
from unigrpo.types import DRAWING

LIMIT, WAITING_LIMIT = 2000, 50
"""Most rows of a data section, and of one whose reward waits for a service."""
ROWS = 5
"""Lines of the table for the same reward and reason."""
NOTE = 160
"""Characters of a note."""
DATA = "(data)"
"""What stands for the reward where the row itself is at fault."""


def run(args: list[str]) -> int:
    """Prints what is misjudged and a summary of each reward; 1 when anything is misjudged."""
    options, rest = take(args, {"markdown": bool, "limit": int, "rows": int})
    config = configured(rest, with_data=True)
    findings: list[Finding] = []
    reports: list[Report] = []
    built: Built = {}
    most, cut = options.get("limit", LIMIT), False
    for name, task in tasks_of(config).items():
        with of_task(name):
            entries = rewards_of(config, task)
            examples = examples_of(task, name, config.model.image_tokenizer.resolution, most)
            cut |= len(examples) >= most
            found, done = check_task(name, task, entries, examples, options.get("limit"), built)
        findings += found
        reports += done
    markdown, several = options.get("markdown", False), len(tasks_of(config)) > 1
    parts = [
        render("Summary", [_summary(report, several) for report in reports], markdown),
        _verdict(findings, sum(report.judges for report in reports)),
    ]
    if cut:
        parts.append(f"Of each data section the first {most} rows were tried; --limit N tries more.")
    if findings:
        shown = _few(findings, options.get("rows", ROWS))
        parts.insert(0, render("What is misjudged", [_line(finding, several) for finding in shown], markdown))
    show("\n".join(parts))
    return int(bool(findings))


def check_task(
    name: str,
    task: TaskSection,
    entries: Mapping[str, RewardEntry],
    examples: Sequence[Example],
    limit: int | None,
    built: Built,
) -> tuple[list[Finding], list[Report]]:
    """Return what is wrong with the answers of a task, and what came of each of its rewards."""
    rewards = Scorer(entries, built).rewards
    template = asked_format(task.data, entries)
    needed = any("answer" in r.parameters.required or "answers" in r.parameters.required for r in rewards.values())
    flawed = {} if task.data.task in DRAWING else _flawed(examples, needed or task.data.task == "text")
    findings = [
        Finding(DATA, name, examples[at].row.where, examples[at].row.answer or "", "", None, note, note)
        for at, note in flawed.items()
    ]
    sound = [example for at, example in enumerate(examples) if at not in flawed]
    if not sound:
        return findings, []
    reports = []
    with progress(f"Checking {name}".strip(), 2 * len(sound) * len(rewards)) as bar:
        for reward in rewards.values():
            wanted = _judged_by(reward.tasks, sound, reward.name)
            wanted = wanted[:WAITING_LIMIT] if reward.asynchronous and limit is None else wanted
            reports.append(examine(reward, wanted, template, lambda rows: bar.update({}, rows)))
            if len(wanted) < len(sound):
                bar.update({}, 2 * (len(sound) - len(wanted)))
    return findings + [finding for report in reports for finding in report.findings], reports


def _judged_by(tasks: Sequence[str], examples: Sequence[Example], name: str) -> Sequence[Example]:
    if examples[0].section.task not in tasks:
        raise RewardError(f"rewards.{name} judges {' and '.join(tasks)}, not {examples[0].section.task}: remove it.")
    return examples


def _flawed(examples: Sequence[Example], needed: bool) -> dict[int, str]:
    """Why a row has no right answer, by its place."""
    found: dict[int, str] = {}
    for at, example in enumerate(examples):
        answer = example.row.answer
        if answer is not None or needed:
            found[at] = flaw(answer or "")
    with_answer = [at for at, example in enumerate(examples) if example.row.answer is not None and not found[at]]
    for place in prose_among([examples[at].row.answer or "" for at in with_answer]):
        found[with_answer[place]] = "it is prose, and the other answers are not"
    return {at: note for at, note in sorted(found.items()) if note}


def _few(findings: Sequence[Finding], most: int) -> list[Finding]:
    """At most so many of each reward and kind, and a last one that counts the others."""
    found: list[Finding] = []
    left: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        left.setdefault((finding.task, finding.reward, finding.kind), []).append(finding)
    for (task, reward, kind), group in left.items():
        found += group[:most]
        if len(group) > most:
            more = f"and {len(group) - most} more rows; --rows N shows more"
            found.append(Finding(reward, task, more, "", "", None, "", kind))
    return found


def _line(finding: Finding, several: bool) -> dict[str, Any]:
    task = {"task": finding.task} if several else {}
    return task | {
        "reward": finding.reward,
        "row": finding.row.rpartition("/")[2],
        "answer": finding.answer,
        "tried": finding.tried,
        "score": finding.score,
        "note": printable(finding.note, NOTE),
    }


def _summary(report: Report, several: bool) -> dict[str, Any]:
    milliseconds = 1000 * np.array(report.seconds or [0.0])
    task = {"task": report.task} if several else {}
    judged = {"right known": report.right, "wrong passed": report.wrong, "full marks": round(report.full, 4)}
    return (
        task
        | {"reward": report.reward, "judges": "answers" if report.judges else "no answers", "rows": report.rows}
        | {key: value if report.judges else None for key, value in judged.items()}
        | {"mean": report.mean, "failed": report.failed, "timeouts": report.timeouts}
        | {"ms": float(milliseconds.mean()), "p99": float(np.percentile(milliseconds, 99))}
        | {"max": float(milliseconds.max()), "reads": ", ".join(report.reads) if report.judges else ""}
    )


def _verdict(findings: Sequence[Finding], judging: int) -> str:
    if not findings and not judging:
        return "Nothing failed. No reward here judges answers, so that none could be misjudged."
    if not findings:
        return "Every right answer has full marks, and no wrong one."
    rows = len({(finding.task, finding.row) for finding in findings})
    return f"{len(findings)} finding{'s' * (len(findings) > 1)} in {rows} row{'s' * (rows > 1)}."
