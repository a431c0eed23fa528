"""Runs that go on: after workers were lost, or in another layout than they were started in."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from unigrpo.config import SFTConfig, TrainConfig
from unigrpo.config.load import load_config
from unigrpo.errors import LostWorkerError, OutOfMemoryError
from unigrpo.runs import CONFIG
from unigrpo.types import Metrics

Config = TypeVar("Config", TrainConfig, SFTConfig)
LAYOUT = ("layout", "ranks", "zero", "offload")


def until_done(
    config: Config,
    attempt: Callable[[Config, int], Metrics],
    opened: Callable[[], bool],
    smaller: Callable[[Config, OutOfMemoryError], Config],
) -> Metrics:
    """Trains to the end, from the last checkpoint again whenever workers are lost.

    Args:
        attempt: trains; it is told how often workers were lost before.
        opened: whether the folder is this run's: before, it may hold one that is to be replaced.
        smaller: the config with half of what did not fit; raises where there is no half.

    Raises:
        LostWorkerError: that happened more than `cluster.max_restarts` times.
    """
    lost = 0
    while True:
        try:
            return attempt(config, lost)
        except LostWorkerError as error:
            lost += 1
            if lost > config.cluster.max_restarts:
                raise
            if isinstance(error, OutOfMemoryError):
                config = smaller(config, error)
            again = "Going on from the last checkpoint" if opened() else "Starting again"
            limit = f"{lost} of cluster.max_restarts={config.cluster.max_restarts}"
            print(f"unigrpo: {error} {again} ({limit}).", file=sys.stderr)
            if opened():
                config = replace(config, resume=True, overwrite=False)


def tell_of_other_layout(config: TrainConfig | SFTConfig) -> None:
    """Says what a run that goes on in another layout keeps."""
    saved = Path(config.output) / CONFIG
    if not config.resume or not saved.is_file():
        return
    before = load_config(type(config), [str(saved)]).cluster
    changed = [name for name in LAYOUT if getattr(before, name) != getattr(config.cluster, name)]
    if changed:
        words = ", ".join(f"cluster.{n} was {getattr(before, n)} and is {getattr(config.cluster, n)}" for n in changed)
        print(
            f"unigrpo: {words}: weights, optimiser, data and randomness go on where they were; sums are made in "
            "another order, so that the run ends with other last digits than without the change.",
            file=sys.stderr,
        )
