"""Starts Ray and the workers, and gives the loop objects that look like the local ones."""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from actors.workers import PolicyWorker, ReferenceWorker, RewardWorker
from rewards.source import absolute_spec
from rollout.colocated import needs_reference, usable_cores
from unigrpo.batch import Batch
from unigrpo.config import ClusterSection, DataSection, RewardEntry, TrainConfig
from unigrpo.errors import ClusterError, UniGRPOError
from unigrpo.types import Metrics, Prompt, Rollout, Scored

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by `ray job submit` in the processes of a job."""
KNOCK_SECONDS = 10
"""How long a cluster may take to answer at all."""


def call(reference: Any, timeout: float | None = None, what: str = "a worker") -> Any:
    """The result of a remote call; what a user can act on is raised as what it is, not wrapped by Ray.

    Raises:
        ClusterError: the worker died, or did not answer in time.
    """
    try:
        return ray.get(reference, timeout=timeout)
    except RayTaskError as error:
        if isinstance(error.cause, UniGRPOError):
            raise error.cause from None
        raise
    except GetTimeoutError:
        raise ClusterError(
            f"{what} was not ready within {timeout:.0f} s (cluster.timeout). The cluster has {_free()}: is there room?"
        ) from None
    except RayActorError as error:
        if isinstance(getattr(error, "cause", None), UniGRPOError):
            raise error.cause from None  # pyright: ignore[reportAttributeAccessIssue]
        raise ClusterError(f"{what} died: {' '.join(str(error).split())}") from error


def _free() -> str:
    found = ray.available_resources()
    return ", ".join(f"{found.get(name, 0):g} {name} free" for name in ("CPU", "GPU"))


class RemoteSampler:
    """The policy actor's sampler."""

    def __init__(self, actor: ActorHandle):
        self.actor = actor

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, step: int | str, temperature: float | None = None
    ) -> list[Rollout]:
        """See `rollout.sampler.Sampler.sample`."""
        return call(self.actor.sample.remote(prompts, group_size, step, temperature), what="the policy worker")

    def load(self, weights: None) -> None:
        """Hands the weights over inside the actor, where learner and sampler share them."""
        call(self.actor.hand_over.remote(), what="the policy worker")


class RemoteLearner:
    """The policy actor's learner."""

    def __init__(self, actor: ActorHandle):
        self.actor = actor

    def learn(self, batches: Sequence[Batch]) -> Metrics:
        """See `unigrpo.learner.Learner.learn`."""
        return call(self.actor.learn.remote(batches), what="the policy worker")

    def weights(self) -> None:
        """Nothing travels: see `RemoteSampler.load`."""

    def save(self, folder: Path) -> None:
        """See `unigrpo.learner.Learner.save`; the folder must be one that driver and worker both see."""
        call(self.actor.save.remote(folder.absolute()), what="the policy worker")

    def export(self, folder: Path) -> None:
        """See `unigrpo.learner.Learner.export`."""
        call(self.actor.export.remote(folder.absolute()), what="the policy worker")


class RemoteScorer:
    """The reward actor's scorer."""

    def __init__(self, actor: ActorHandle):
        self.actor = actor

    def score(self, rollouts: list[Rollout]) -> list[Scored]:
        """See `rewards.scorer.Scorer.score`."""
        return call(self.actor.score.remote(rollouts), what="the reward worker")


def connect(cluster: ClusterSection, workers: int) -> None:
    """Joins the cluster of `cluster.address` or of the job we run in, or starts one on 127.0.0.1.

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


def _knock(address: str) -> None:
    """Raises an `OSError` unless something answers at `host:port`; Ray itself would try again for many minutes."""
    place = urlsplit(address if "//" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), KNOCK_SECONDS).close()


def _spawn(worker: type, gpus: float, *args: Any) -> Any:
    return ray.remote(num_cpus=1, num_gpus=gpus)(worker).remote(*args)


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
    config: TrainConfig, resume_from: Path | None
) -> Iterator[tuple[RemoteSampler, RemoteScorer, RemoteLearner]]:
    """Sampler, scorer and learner in Ray actors, which end with the block."""
    apart = needs_reference(config)
    connect(config.cluster, workers=3)
    try:
        found = ray.cluster_resources().get("GPU", 0)
        models = 2 if apart else 1
        gpus = min(1.0, found / models) if config.model.device in ("auto", "cuda") else 0.0
        config = _absolute(config)
        rewards = _spawn(RewardWorker, 0, config)
        reference = _spawn(ReferenceWorker, gpus, config) if apart else None
        policy = _spawn(PolicyWorker, gpus, config, reference, resume_from and resume_from.absolute())
        workers = {"reward": rewards, "reference": reference, "policy": policy}
        starting = {name: actor.start.remote() for name, actor in workers.items() if actor is not None}
        for name, reply in starting.items():
            call(reply, config.cluster.timeout, f"the {name} worker")
        yield RemoteSampler(policy), RemoteScorer(rewards), RemoteLearner(policy)
    finally:
        ray.shutdown()
