"""Starts Ray and the workers, and gives the loop objects that look like the local ones."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError

from actors.placement import plan, reserve
from actors.remote import Actors, RemoteLearner, RemoteSampler, RemoteScorer, Watch
from actors.spawn import spawn
from rewards.source import absolute_spec
from rollout.colocated import usable_cores
from unigrpo.config import ClusterSection, DataSection, RewardEntry, TrainConfig
from unigrpo.errors import ClusterError
from unigrpo.types import Metrics

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by `ray job submit` in the processes of a job."""
KNOCK_SECONDS = 10
"""How long a cluster may take to answer at all."""


def connect(cluster: ClusterSection, workers: int) -> str:
    """Joins the cluster of `cluster.address` or of the job we run in, or starts one on 127.0.0.1; returns what it is.

    Raises:
        ClusterError: the cluster cannot be reached or started.
    """
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    try:
        if address or os.environ.get(JOB_VARIABLE):
            _knock(address or "")
            ray.init(address=cluster.address, logging_level=logging.ERROR)
        else:
            cores = max(workers, usable_cores())
            ray.init(
                address="local",
                num_cpus=cores,
                include_dashboard=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ClusterError(
            f"Ray at {address or '127.0.0.1'} cannot be used: {reason}. Start it, correct cluster.address, or set "
            "cluster.backend=local."
        ) from None
    return f"the cluster at {address}" if address else "the cluster"


def _knock(address: str) -> None:
    """Raises an `OSError` unless something answers at `host:port`; Ray itself would try again for many minutes."""
    place = urlsplit(address if "//" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), KNOCK_SECONDS).close()


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
    return {name: replace(entry, path=absolute_spec(entry.path)) for name, entry in rewards.items()}


@contextmanager
def started(
    config: TrainConfig, resume_from: Path | None, lost: int = 0
) -> Iterator[tuple[RemoteSampler, RemoteScorer, RemoteLearner, Callable[[], Metrics]]]:
    """Sampler, scorer, learner and report in Ray actors, which end with the block.

    Args:
        lost: how often this run has lost workers that it could not go on without.
    """
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
        learner, sampler = RemoteLearner(policy, separate), RemoteSampler(rollout if separate else policy)
        if separate:
            sampler.load(learner.weights())
        yield sampler, RemoteScorer(reward), learner, Watch(vars(crew), lost).report
    finally:
        ray.shutdown()
