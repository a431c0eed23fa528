"""Who needs what of the cluster, and a place for each before anything starts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from math import floor

import ray
from ray.util.placement_group import PlacementGroup, placement_group
from rich.console import Console
from rich.table import Table

from rollout.colocated import needs_reference
from unigrpo.config import TrainConfig
from unigrpo.errors import ClusterError
from unigrpo.progress import console

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Role:
    """Workers of one kind."""

    name: str
    count: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Plan:
    """The workers of a run. What belongs to a rank of the policy shares its place, and its GPU."""

    policy: Role
    reference: Role | None = None
    rollout: Role | None = None
    reward: Role | None = None
    rewards_sit_with_ranks: bool = False

    @property
    def roles(self) -> list[Role]:
        """All kinds there are."""
        return [role for role in (self.policy, self.reference, self.rollout, self.reward) if role]

    def total(self, name: str) -> float:
        """CPUs or GPUs of all."""
        return sum(role.count * getattr(role, f"{name.lower()}s") for role in self.roles)

    def places(self) -> dict[str, list[int]]:
        """For each kind the bundle of each of its workers: first one for each rank, then one for each other worker."""
        seats = list(range(self.policy.count))
        found = {"policy": seats} | ({"reference": seats} if self.reference else {})
        free = len(seats)
        for role in filter(None, (self.rollout, self.reward)):
            if role is self.reward and self.rewards_sit_with_ranks:
                found[role.name] = [index % len(seats) for index in range(role.count)]
            else:
                found[role.name] = list(range(free, free + role.count))
                free += role.count
        return found

    def bundles(self) -> list[dict[str, float]]:
        """What must be together on one node."""
        places, roles = self.places(), {role.name: role for role in self.roles}
        bundles = [{"CPU": 0.0, "GPU": 0.0} for _ in range(1 + max(map(max, places.values())))]
        for name, indices in places.items():
            for index in indices:
                bundles[index]["CPU"] += roles[name].cpus
                bundles[index]["GPU"] += roles[name].gpus
        return [{kind: round(size, 4) for kind, size in bundle.items() if size} for bundle in bundles]

    def table(self, cluster: Mapping[str, float]) -> str:
        """What each kind needs, and what the cluster has."""
        table = Table(title="Workers", title_justify="left")
        table.add_column("role")
        for name in ("workers", "CPU each", "GPU each"):
            table.add_column(name, justify="right")
        for role in self.roles:
            table.add_row(role.name, str(role.count), f"{role.cpus:g}", f"{role.gpus:g}")
        table.add_section()
        table.add_row(
            "all", str(sum(role.count for role in self.roles)), f"{self.total('CPU'):g}", f"{self.total('GPU'):g}"
        )
        table.add_row("cluster", "", f"{cluster.get('CPU', 0):g}", f"{cluster.get('GPU', 0):g}")
        text = StringIO()
        Console(file=text, width=100).print(table)
        return text.getvalue()


def plan(config: TrainConfig, gpus: bool) -> Plan:
    """The workers of a run.

    Args:
        gpus: whether the cluster has GPUs to be used.
    """
    cluster, beside, separate = config.cluster, needs_reference(config), config.cluster.layout == "separate"
    shared = cluster.reward_gpus > 0 and gpus and not separate
    scorers = cluster.reward_gpus * -(-cluster.reward_workers // cluster.ranks) if shared else 0.0
    # Ray counts in ten-thousandths; rounded down, so that no place asks for more than its GPU.
    share = floor((1 - scorers) / (2 if beside else 1) * 10_000 + 1e-6) / 10_000 if gpus else 0.0
    return Plan(
        policy=Role("policy", cluster.ranks, 1, share),
        reference=Role("reference", cluster.ranks, 1, share) if beside else None,
        rollout=Role("rollout", cluster.rollout_workers, 1, float(gpus)) if separate else None,
        reward=Role("reward", cluster.reward_workers, 1, cluster.reward_gpus),
        rewards_sit_with_ranks=shared,
    )


def reserve(wanted: Plan, timeout: float, where: str) -> PlacementGroup:
    """Places for all workers, kept together as far as possible.

    Raises:
        ClusterError: the cluster is too small, or too busy, and stays so.
    """
    ends = time.monotonic() + timeout
    console.print(wanted.table(ray.cluster_resources()), end="", markup=False, highlight=False, soft_wrap=True)
    if lacking := _lacking(wanted):
        message = f"Waiting up to {timeout:.0f} s for nodes: {lacking}."
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    while lacking:
        if time.monotonic() > ends:
            raise ClusterError(
                f"{where} is too small: {lacking} (cluster.timeout={timeout:g}). Join nodes, or lower cluster.ranks, "
                "cluster.rollout_workers or cluster.reward_workers."
            )
        time.sleep(min(POLL_SECONDS, timeout))
        lacking = _lacking(wanted)
    group = placement_group(wanted.bundles(), strategy="PACK")
    if not group.wait(max(1.0, ends - time.monotonic())):
        found = ray.available_resources()
        raise ClusterError(
            f"{where} had no room for {timeout:g} s (cluster.timeout): the run needs {wanted.total('CPU'):g} CPU and "
            f"{wanted.total('GPU'):g} GPU; {found.get('CPU', 0):g} CPU and {found.get('GPU', 0):g} GPU are free. Wait "
            "for other jobs, or end them."
        )
    return group


def _lacking(wanted: Plan) -> str:
    found = ray.cluster_resources()
    return ", ".join(
        f"the run needs {wanted.total(name):g} {name}, the cluster has {found.get(name, 0):g}"
        for name in ("CPU", "GPU")
        if wanted.total(name) > found.get(name, 0)
    )
