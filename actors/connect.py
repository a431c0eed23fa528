"""Joining a Ray cluster, or starting one for this run alone."""

import logging
import os
import sys

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import RayError

from actors.address import is_loopback, knock, place
from actors.guard import MODE, forget, guarded
from actors.head import greet
from unigrpo.config import ClusterSection
from unigrpo.errors import ClusterError
from unigrpo.machine import usable_cores

JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by `ray job submit` in the processes of a job."""
QUIET = logging.ERROR


def connect(cluster: ClusterSection, workers: int) -> str:
    """Joins the cluster of `cluster.address`, of RAY_ADDRESS or of the job we run in; starts one where none is named.

    Args:
        workers: cores that the workers ask for; a Ray that is started has at least these.

    Returns:
        What to call it.

    Raises:
        ClusterError: the cluster cannot be reached or started.
    """
    address = _named(cluster.address)
    try:
        if address:
            _join(address)
            return f"the cluster at {address}"
        _start(max(workers, usable_cores()))
        return "the cluster"
    except ClusterError:
        raise
    except (OSError, RuntimeError, ValueError, RayError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        setting = "cluster.address" if cluster.address else "RAY_ADDRESS"
        raise ClusterError(
            f"Ray at {address} cannot be used: {reason}. Start it, correct {setting}, or set cluster.backend=local."
            if address
            else f"Ray cannot be started: {reason}. Set cluster.address to one that runs, or cluster.backend=local."
        ) from None


def _named(setting: str | None) -> str | None:
    """The address that is meant; None for a Ray of our own."""
    if setting in (None, "auto"):
        setting = os.environ.get("RAY_ADDRESS") or setting or ("auto" if os.environ.get(JOB_VARIABLE) else None)
    return None if setting == "local" else setting


def _start(cores: int) -> None:
    with guarded():
        ray.init(
            address="local",
            num_cpus=cores,
            include_dashboard=False,
            logging_level=QUIET,
            _node_ip_address="127.0.0.1",
        )


def _join(address: str) -> None:
    """Joins, once it is sure that we can: Ray itself would try again for minutes, or without end."""
    forget()
    scheme, separator, _ = address.partition("://")
    if separator and scheme != "ray":
        raise ValueError(f"{scheme}:// is no way to join a cluster: write HOST:6379 (`unigrpo submit` takes http://)")
    # Ray takes 127.0.0.1 for the machine's own address, where something else may answer, or nothing.
    meant = address if separator else canonicalize_bootstrap_address(address) or address
    if found := place(meant):
        knock(*found)
        if not separator:
            greet(meant, address)
    if not os.environ.get(JOB_VARIABLE):
        _warn(address)
    ray.init(address=address, logging_level=QUIET)


def _warn(address: str) -> None:
    found = place(address)
    if found and not is_loopback(found[0]):
        token = "" if os.environ.get(MODE) == "token" else ", as it asks for no token (RAY_AUTH_MODE=token)"
        print(
            f"unigrpo: warning: whoever reaches the ports of {address} can run any code there{token}; weights and data "
            "travel unencrypted: keep them behind a firewall",
            file=sys.stderr,
        )
