"""Makes actors of the workers, each in its place."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.desk import Host
from actors.placement import Plan, Role
from actors.scoring import RewardWorker
from actors.waiting import gather, within
from actors.workers import PolicyWorker, ReferenceWorker, RolloutWorker
from unigrpo.config import SFTConfig, TrainConfig

COLLECTIVE_SECONDS = 600.0
"""Longest that ranks wait for each other: they start what they do together at the same time, so that a rank which is
late by more hangs."""


@dataclass(frozen=True)
class Crew:
    """All actors of a run, in the order of their ranks."""

    policy: list[ActorHandle]
    reference: list[ActorHandle] = field(default_factory=list)
    rollout: list[ActorHandle] = field(default_factory=list)
    reward: list[ActorHandle] = field(default_factory=list)


def sharded(config: TrainConfig | SFTConfig) -> bool:
    """Whether OpenRLHF and DeepSpeed train the policy."""
    return config.cluster.ranks > 1 or config.cluster.zero > 0


def spawn(config: TrainConfig, wanted: Plan, places: PlacementGroup, resume_from: Path | None) -> Crew:
    """Starts all workers and waits until they have loaded."""
    timeout, bundles = config.cluster.timeout, wanted.places()

    def hosts(role: Role | None, *made: Any) -> list[ActorHandle]:
        return [host(role, places, bundle, config, *made) for bundle in bundles[role.name]] if role else []

    rollout, reward = hosts(wanted.rollout, RolloutWorker, config), hosts(wanted.reward, RewardWorker, config)
    starting = {"rollout": rollout, "reward": reward}
    # With ZeRO-3 the reference is in pieces, and so a group of ranks itself.
    reference = [] if config.cluster.zero == 3 else hosts(wanted.reference, ReferenceWorker, config)
    policy: list[ActorHandle] = []
    if not sharded(config):
        policy = hosts(wanted.policy, PolicyWorker, config, next(iter(reference), None), resume_from)
    starting |= {"reference": reference, "policy": policy}
    replies = {name: [actor.run.remote("ready") for actor in actors] for name, actors in starting.items()}
    if sharded(config):
        reference, policy = _ranks(config, wanted, places, reference, resume_from)
    for name, waiting in replies.items():
        gather(waiting, timeout, f"the {name} worker, which is starting,")
    return Crew(policy, reference, rollout, reward)


def host(role: Role, places: PlacementGroup, bundle: int, config: TrainConfig | SFTConfig, *made: Any) -> Any:
    """An actor that works alone. But for the policy, whose state would be lost, Ray starts it again if it dies."""
    restarts = 0 if role.name == "policy" else config.cluster.max_restarts
    options = {
        "num_cpus": role.cpus,
        "num_gpus": role.gpus,
        "max_restarts": restarts,
        "max_task_retries": restarts,
        "scheduling_strategy": PlacementGroupSchedulingStrategy(places, placement_group_bundle_index=bundle),
    }
    # An actor is called by its class, in the dashboard and in the list of processes.
    named = type(made[0].__name__, (Host,), {})
    return ray.remote(**options)(named).remote(*made)


def _ranks(
    config: TrainConfig, wanted: Plan, places: PlacementGroup, beside: list[ActorHandle], resume_from: Path | None
) -> tuple[list[ActorHandle], list[ActorHandle]]:
    """Reference and policy as OpenRLHF's groups.

    Args:
        beside: references that work alone, one for each rank; none where the reference is a group too.
    """
    from actors.ranks import PolicyRank, ReferenceRank

    if wanted.reference and not beside:
        beside = rank_group(config, wanted.reference, places, ReferenceRank, config)
    return beside, rank_group(config, wanted.policy, places, PolicyRank, config, beside, resume_from)


def rank_group(
    config: TrainConfig | SFTConfig, role: Role, places: PlacementGroup, kind: type, *made: Any
) -> list[ActorHandle]:
    """One of OpenRLHF's groups, once all of its ranks have loaded.

    Args:
        kind: what each rank is, and `made` what makes it, behind DeepSpeed's strategy.
    """
    from actors.upstream import RayActorGroup, Strategy

    cluster = config.cluster
    limit = min(cluster.watchdog, COLLECTIVE_SECONDS)
    strategy = Strategy(cluster.zero, cluster.offload, config.model.dtype, config.seed, limit)
    what = f"the {role.name} group of {role.count} ranks, which is starting,"
    actor: Any = ray.remote(num_gpus=1)(kind)
    gpus: Any = role.gpus
    # Its constructor waits for the first rank, without a limit.
    group = within(cluster.timeout, what, RayActorGroup, 1, role.count, actor, pg=places, num_gpus_per_actor=gpus)
    gather(group.async_init_model_from_pretrained(strategy, *made), cluster.timeout, what)
    return group._actor_handlers
