"""Starts Ray and the workers, and gives the loop objects that look like the local ones."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import ray
from ray.exceptions import RayActorError
from ray.util.placement_group import PlacementGroup

from actors.connect import connect
from actors.guard import forget
from actors.placement import Plan, plan, reserve
from actors.remote import Actors, RemoteLearner, RemoteSampler, RemoteScorer, Watch, introduce
from actors.spawn import sharded, spawn
from unigrpo.config import SFTConfig, TrainConfig, tasks_of
from unigrpo.config.paths import placed
from unigrpo.errors import LostWorkerError
from unigrpo.models.ids import IdTable
from unigrpo.train import Workers

Config = TypeVar("Config", TrainConfig, SFTConfig)


def absolute(config: Config) -> Config:
    """The config with paths that do not depend on the folder a worker runs in."""
    return replace(placed(config, _absolute), output=os.path.abspath(config.output))


def _absolute(key: str, path: str) -> str:
    """A bare word in the settings of a reward may be no path, whatever is called the same here."""
    is_word = ".args." in key and os.sep not in path
    return path if is_word or "://" in path else os.path.abspath(path)


@contextmanager
def started(config: TrainConfig, ids: IdTable, resume_from: Path | None, lost: int = 0) -> Iterator[Workers]:
    """Sampler, scorer and learner in Ray actors, which end with the block.

    Args:
        lost: how often this run has lost workers that it could not go on without.

    Raises:
        ClusterError: the cluster cannot be used, or is too small.
        MissingExtraError: several ranks need OpenRLHF and DeepSpeed.
        LostWorkerError: a worker that the run needs is gone.
    """
    with joined(config, plan) as (wanted, places):
        crew = spawn(absolute(config), wanted, places, resume_from and resume_from.absolute())
        introduce(vars(crew), config.cluster.watchdog)
        policy, rollout, reward = (
            Actors(name, getattr(crew, name), config.cluster.watchdog) for name in ("policy", "rollout", "reward")
        )
        separate = config.cluster.layout == "separate"
        tasks = tasks_of(config)
        streams = {name: task.rollout for name, task in tasks.items()}
        together = not separate and config.cluster.zero == 3
        learner = RemoteLearner(policy, separate)
        sampler = RemoteSampler(rollout if separate else policy, streams, together)
        if separate:
            sampler.load(learner.weights())
        yield Workers(
            sampler=sampler,
            scorer=RemoteScorer(reward, {name: task.rewards for name, task in tasks.items()}),
            learner=learner,
            ids=ids,
            report=Watch(vars(crew), lost).report,
            with_behaviour=sampler.with_behaviour if separate else None,
        )


@contextmanager
def joined(config: Config, plan_of: Callable[[Config, bool], Plan]) -> Iterator[tuple[Plan, PlacementGroup]]:
    """The workers of a run and places for them, in a cluster that is left with the block.

    Args:
        plan_of: what the run needs, where there are GPUs to be used or none.

    Raises:
        ClusterError: the cluster cannot be used, or is too small.
        MissingExtraError: several ranks need OpenRLHF and DeepSpeed.
        LostWorkerError: a worker that the run needs is gone.
    """
    if sharded(config):
        import_module("actors.upstream")  # which says what is missing before anything has started
    cpus = int(plan_of(config, False).total("CPU"))
    where = connect(config.cluster, cpus)
    try:
        gpus = ray.cluster_resources().get("GPU", 0) > 0 and config.model.device in ("auto", "cuda")
        wanted = plan_of(config, gpus)
        yield wanted, reserve(wanted, config.cluster.timeout, where)
    except RayActorError as error:
        raise LostWorkerError(f"a worker died: {' '.join(str(error).split())}") from error
    finally:
        ray.shutdown()
        forget()
