"""Starts Ray and the workers, and gives the loop objects that look like the local ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import ray
from ray.exceptions import RayActorError

from actors.connect import connect
from actors.guard import forget
from actors.placement import plan, reserve
from actors.remote import Actors, RemoteLearner, RemoteSampler, RemoteScorer, Watch
from actors.spawn import sharded, spawn
from rewards.source import absolute_spec
from unigrpo.config import DataSection, RewardEntry, TrainConfig, tasks_of
from unigrpo.errors import LostWorkerError
from unigrpo.models.ids import IdTable
from unigrpo.train import Workers


def _absolute(config: TrainConfig) -> TrainConfig:
    """The config with paths that do not depend on the folder a worker runs in."""
    images = replace(config.model.image_tokenizer, path=_path(config.model.image_tokenizer.path))
    model = replace(config.model, path=_path(config.model.path), image_tokenizer=images)
    tasks = {
        name: replace(task, data=_data(task.data), eval=task.eval and _data(task.eval), rewards=_rewards(task.rewards))
        for name, task in config.tasks.items()
    }
    return replace(config, model=model, data=_data(config.data), rewards=_rewards(config.rewards), tasks=tasks)


def _path(path: str | None) -> str | None:
    return path and os.path.abspath(path)


def _data(section: DataSection) -> DataSection:
    return replace(section, path=_path(section.path), image_root=_path(section.image_root))


def _rewards(rewards: dict[str, RewardEntry]) -> dict[str, RewardEntry]:
    return {
        name: replace(entry, path=absolute_spec(entry.path), python=_program(entry.python))
        for name, entry in rewards.items()
    }


def _program(name: str | None) -> str | None:
    """A name without a folder is looked for in the worker's own PATH."""
    return os.path.abspath(name) if name and os.path.dirname(name) else name


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
    if sharded(config):
        import_module("actors.upstream")  # which says what is missing before anything has started
    cpus = int(plan(config, gpus=False).total("CPU"))
    where = connect(config.cluster, cpus)
    try:
        gpus = ray.cluster_resources().get("GPU", 0) > 0 and config.model.device in ("auto", "cuda")
        wanted = plan(config, gpus)
        places = reserve(wanted, config.cluster.timeout, where)
        crew = spawn(_absolute(config), wanted, places, resume_from and resume_from.absolute())
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
    except RayActorError as error:
        raise LostWorkerError(f"a worker died: {' '.join(str(error).split())}") from error
    finally:
        ray.shutdown()
        forget()
