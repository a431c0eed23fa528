"""`unigrpo rewards score`: rollouts that were sampled before, scored again."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rewards.compose import compose, group_of
from rewards.score import Judged, Score
from rewards.tasks import TaskScorer
from unigrpo.cli.main import show
from unigrpo.cli.rewards_compare import change, changed, means
from unigrpo.cli.rewards_rollouts import Old, kept, read_rollouts
from unigrpo.cli.rewards_tables import render
from unigrpo.cli.rewards_words import WITH_REWARDS, configured, take
from unigrpo.config import RewardEntry, TaskSection, tasks_of
from unigrpo.config.files import write_atomically
from unigrpo.config.tasks import rewards_of
from unigrpo.errors import ConfigError
from unigrpo.logged import earned
from unigrpo.progress import progress
from unigrpo.runs import CONFIG
from unigrpo.types import Scored

OUTPUT = "rescored.jsonl"
FILES = "rollouts.jsonl of a run, samples.jsonl of an evaluation, or other rows with prompts and responses"
AT_ONCE = 256
"""Rollouts that are scored together, whole groups of them."""
CHANGED = 5
"""Changed rows that are shown."""


def run(args: list[str]) -> int:
    """Scores a file again, writes rescored.jsonl beside it, and prints what changed."""
    options, rest = take(args, {"markdown": bool, "overwrite": bool, "output": str, "rows": int})
    if not rest or "=" in rest[0] or rest[0].endswith((".yaml", ".yml")):
        raise ConfigError(f"rewards score needs a FILE: {FILES}.")
    file = rest[0]
    output = Path(options.get("output") or Path(file).parent / OUTPUT)
    _check_output(output, file, options.get("overwrite", False))
    config = configured(_config_words(file, rest[1:]))
    tasks = tasks_of(config)
    entries = {name: rewards_of(config, task) for name, task in tasks.items()}
    rows, scored, stays = rescore(file, tasks, entries)
    write_atomically(output, "".join(_line(row, new) for row, new in zip(rows, scored, strict=True)))
    markdown = options.get("markdown", False)
    parts = [render("Means", means(rows, scored), markdown), *_notes(entries, stays)]
    different = [(row, new) for row, new in zip(rows, scored, strict=True) if changed(row.reward, new.reward)]
    if different:
        shown = [change(row, new) for row, new in different[: options.get("rows", CHANGED)]]
        parts.append(render("Changed", shown, markdown))
    known = any("reward" in row.values for row in rows)
    said = f"the reward of {len(different)} of {len(rows)} rows changed" if known else f"{len(rows)} rows"
    return show("\n".join([*parts, f"{output}  {said}"]))


def rescore(
    file: str, tasks: Mapping[str, TaskSection], entries: Mapping[str, Mapping[str, RewardEntry]]
) -> tuple[list[Old], list[Scored], list[str]]:
    """Return the rows of a file, what they earn now, and the rewards whose old values stayed.

    Values are not normalised over groups, of which a file holds only a part.
    """
    scorer = TaskScorer(entries)
    look = any(
        {"image", "images"} & set(reward.parameters.names)
        for own in scorer.scorers.values()
        for reward in own.rewards.values()
    )
    rows = read_rollouts(file, tasks, look)
    stays: dict[str, list[str]] = {}
    for name, own in scorer.scorers.items():
        stays[name] = kept(file, [row for row in rows if row.rollout.prompt.stream == name], own.rewards)
        own.rewards = {key: reward for key, reward in own.rewards.items() if key not in stays[name]}
    judged: list[Judged] = []
    with progress("Scoring", len(rows)) as bar:
        for part in _parts(rows):
            judged += scorer.begin([row.rollout for row in part])()
            bar.update({}, len(part))
    judged = [_with_old(row, new, stays) for row, new in zip(rows, judged, strict=True)]
    scored = compose(entries, [row.rollout for row in rows], judged, normalize=False)
    return rows, scored, sorted({name for names in stays.values() for name in names})


def _config_words(file: str, rest: list[str]) -> list[str]:
    """The given config, or else that of the run the file is in, under the given settings."""
    words = rest[1:] if rest and rest[0] in WITH_REWARDS else rest
    if any("=" not in word and not word.startswith("--") for word in words):
        return rest
    saved = Path(file).parent / CONFIG
    if not saved.is_file():
        if any(word.lstrip("-").startswith(("rewards.", "tasks.")) for word in words):
            return rest
        raise ConfigError(
            f"{file} is in no folder of a run: name the config whose rewards are meant, or set rewards.NAME.weight=1."
        )
    return [str(saved), *words]


def _check_output(output: Path, file: str, overwrite: bool) -> None:
    if not Path(file).is_file():
        raise ConfigError(f"{file} is no file: name {FILES}.")
    if output.exists() and output.samefile(file):
        raise ConfigError(f"output is {output}, which is what is read: name another.")
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} is there already: add --overwrite to replace it, or name another output=")
    if not output.parent.is_dir():
        raise ConfigError(f"output is {output}, but there is no folder {output.parent}: make it, or name another.")


def _parts(rows: Sequence[Old]) -> Iterator[list[Old]]:
    part: list[Old] = []
    for _, group in groupby(rows, key=lambda row: group_of(row.rollout)):
        part += group
        if len(part) >= AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _with_old(row: Old, judged: Judged, stays: Mapping[str, Sequence[str]]) -> Judged:
    """What is said now, with what was said by rewards whose values stay."""
    old = {name: _old_score(name, row.parts) for name in stays[row.rollout.prompt.stream]}
    return Judged(scores=judged.scores | old, seconds=judged.seconds)


def _old_score(name: str, parts: Mapping[str, float | None]) -> Score:
    values = {key: math.nan if value is None else value for key, value in parts.items()}
    below = f"{name}/"
    inner = {key.removeprefix(below): value for key, value in values.items() if key.startswith(below)}
    return Score(values[name], inner, fault="error" if math.isnan(values[name]) else "")


def _line(row: Old, new: Scored) -> str:
    """The row with what it earns now, and before."""
    before = {key: row.values[key] for key in ("reward", "parts") if key in row.values}
    rest = {key: value for key, value in row.values.items() if key not in ("notes", "faults")}
    return json.dumps(rest | earned(new) | ({"before": before} if before else {})) + "\n"


def _notes(entries: Mapping[str, Mapping[str, RewardEntry]], stays: Sequence[str]) -> list[str]:
    """What the numbers do not say."""
    notes = [f"{name} looks at tokens, which the file does not keep: its old values stay." for name in stays]
    normalized = dict.fromkeys(name for own in entries.values() for name in own if own[name].normalize != "none")
    return notes + [
        f"{name} is normalised over groups in training, and is not here: compare its part, not the reward."
        for name in normalized
    ]
