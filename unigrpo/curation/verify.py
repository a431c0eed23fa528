"""Rewards as the judge of a teacher's answers."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from rewards.scorer import Scorer
from rewards.trials import responding
from unigrpo import __version__
from unigrpo.config import CurateConfig
from unigrpo.curation.requests import Request
from unigrpo.data.images import read_image
from unigrpo.data.rows import Row
from unigrpo.progress import progress
from unigrpo.types import Prompt, Rollout, Task

AT_ONCE = 256
"""Answers that are judged together, whole prompts of them."""
PLACE = np.zeros((1, 1, 3), dtype=np.uint8)
"""Stands for a picture that nobody looks at."""


@dataclass(frozen=True)
class Written:
    """An answer in our format."""

    request: Request
    response: str


@dataclass(frozen=True)
class Verdict:
    """What the rewards say of an answer."""

    right: bool | None
    """None where a reward failed, so that it is not known."""
    rewards: dict[str, float | None]
    """By name; None where one failed or does not apply."""
    short: str = ""
    """The first reward that was below what `keep` asks for."""
    note: str = ""


class Verifier:
    """The rewards of the config, found and checked once."""

    def __init__(self, config: CurateConfig) -> None:
        """Find every reward.

        Raises:
            RewardError: there is no such reward, or it cannot be loaded.
        """
        self.task: Task = config.data.task
        self.scorer = Scorer(config.rewards)
        self.keep = config.keep or {next(iter(config.rewards)): 1.0}
        taken = {name for reward in self.scorer.rewards.values() for name in reward.parameters.names}
        self.looks = bool(taken & {"image", "images"})
        self.version = _version(config, self.keep)

    def check(self, rows: Sequence[Row]) -> None:
        """Raise `RewardError` unless every reward finds its arguments in every row, and works on the first one."""
        self.scorer.check([self._prompt(rows[0], self.looks), *(self._prompt(row, False) for row in rows[1:])])

    def judge(self, written: Sequence[Written]) -> list[Verdict]:
        """Return what the rewards say of each answer, in the same order; those to one prompt stand together."""
        verdicts: list[Verdict] = []
        with progress("Verifying", len(written)) as bar:
            for part in _parts(written):
                judged = self.scorer.begin(list(self._rollouts(part)))()
                verdicts += [
                    self._verdict(
                        {name: score.value for name, score in one.scores.items()},
                        next((score.note for score in one.scores.values() if score.failed), ""),
                    )
                    for one in judged
                ]
                bar.update({}, len(part))
        return verdicts

    def _verdict(self, values: dict[str, float], note: str) -> Verdict:
        known = {name: float(value) for name, value in values.items() if np.isfinite(value)}
        rewards = {name: known.get(name) for name in self.scorer.entries}
        short = next((name for name, least in self.keep.items() if known.get(name, least) < least), "")
        unknown = any(name not in known for name in self.keep)
        return Verdict(None if unknown and not short else not short, rewards, short, note)

    def _rollouts(self, written: Sequence[Written]) -> Iterator[Rollout]:
        for _, group in groupby(written, key=lambda one: one.request.row.id):
            answers = list(group)
            prompt = self._prompt(answers[0].request.row, self.looks)
            for one in answers:
                name = str(one.request.sample)
                yield replace(responding(prompt, one.response, name), id=f"curate/{prompt.id}/{name}")

    def _prompt(self, row: Row, look: bool) -> Prompt:
        image = row.image
        if image is not None:
            image = read_image(image, row.where) if look else PLACE
        return Prompt(
            id=row.id,
            task=self.task,
            text=row.prompt,
            tokens=np.arange(1),
            answer=row.answer,
            images=() if image is None else (image,),
            metadata=row.metadata,
        )


def _parts(written: Sequence[Written]) -> Iterator[list[Written]]:
    part: list[Written] = []
    for _, group in groupby(written, key=lambda one: one.request.row.id):
        part += group
        if len(part) >= AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _version(config: CurateConfig, keep: dict[str, float]) -> str:
    """A hash of how answers are judged: the rewards with their settings, files of your own, and our version."""
    files = {
        name: hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for name, entry in config.rewards.items()
        if (file := (entry.path or "").rpartition(":")[0]).endswith(".py")
    }
    entries = {name: asdict(entry) for name, entry in config.rewards.items()}
    said = json.dumps([__version__, entries, keep, files], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
