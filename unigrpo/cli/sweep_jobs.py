"""Parts of a sweep as jobs for Ray Tune; among them the stages before the trials."""

import os
import shlex
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unigrpo.cli.sweep_trials import before_of
from unigrpo.config import SweepConfig
from unigrpo.config.files import write_atomically
from unigrpo.config.load import to_yaml
from unigrpo.sweeps.board import Board
from unigrpo.sweeps.process import Job

STOP = ".stop"
"""The file that, once it is in a sweep's folder, ends all of its trials."""


class Before:
    """The stages before the trials: a pipeline for each seed."""

    def __init__(self, config: SweepConfig, seeds: Sequence[int], board: Board):
        self.config, self.board = config, board
        self.left = deque(seeds)
        self.failed: dict[int, str] = {}

    def take(self) -> Job | None:
        """The pipeline of the next seed."""
        one = before_of(self.config, self.left.popleft())
        file = Path(f"{one.output}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, f"# unigrpo pipeline {shlex.quote(str(file))}\n{to_yaml(one)}")
        name = f"before/{Path(one.output).name}"
        self.board.begun(name)
        return job(self.config, name, ["pipeline", str(file)], Path(f"{one.output}.log"))

    def exhausted(self) -> bool:
        """Whether there will be no more."""
        return not self.left or is_stopping(self.config)

    def heard(self, name: str, step: int, value: float) -> None:
        """Nothing: of a pipeline only the end is told."""

    def ended(self, name: str, result: Mapping[str, Any] | None) -> None:
        """Keeps why a seed has no start."""
        how, why = told(result)
        if how == "failed":
            self.failed[int(name.rpartition("-")[2])] = f"{name}: {why}"
        self.board.over(name, how, why)


def told(result: Mapping[str, Any] | None) -> tuple[str, str]:
    """How a job ended, and why it failed."""
    if result is None:
        return "failed", "its worker was lost: the machine it ran on is gone, or has no memory left"
    if not result.get("ended"):
        return "stopped", ""
    if result["cut"]:
        return "cut", ""
    if result["status"] == 0:
        return "done", ""
    return "failed", result["line"] or f"it ended with status {result['status']}"


def job(config: SweepConfig, name: str, words: list[str], log: Path, run: Path | None = None) -> Job:
    """A verb as a job of the sweep."""
    return Job(
        name=name,
        words=words,
        folder=os.getcwd(),
        log=str(log.absolute()),
        stop=str((Path(config.output) / STOP).absolute()),
        run=str(run.absolute()) if run else "",
        metric=config.metric,
        threads=config.resources.cpus,
        gpus=config.resources.gpus > 0,
    )


def is_stopping(config: SweepConfig) -> bool:
    """Whether all trials are to end."""
    return (Path(config.output) / STOP).exists()
