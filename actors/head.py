"""What the head of a Ray cluster says of itself, asked before Ray joins it: Ray would try again for minutes."""

import json
from typing import Any, NamedTuple

import grpc
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._private.grpc_utils import init_grpc_channel
from ray._private.ray_constants import KV_NAMESPACE_CLUSTER
from ray._private.utils import check_version_info, compute_version_info
from ray.core.generated import gcs_service_pb2_grpc
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # pyright: ignore[reportAttributeAccessIssue]
from ray.core.generated.gcs_service_pb2 import (
    GetAllNodeInfoRequest,  # pyright: ignore[reportAttributeAccessIssue]
    InternalKVGetRequest,  # pyright: ignore[reportAttributeAccessIssue]
)
from ray.exceptions import AuthenticationError

from actors.address import KNOCK_SECONDS
from unigrpo.errors import ClusterError

VERSIONS = b"CLUSTER_METADATA"
"""Where Ray's head keeps its versions."""
TOKEN_ADVICE = "RAY_AUTH_TOKEN to what `ray get-auth-token` prints on the head"


class Cluster(NamedTuple):
    """What a cluster has."""

    nodes: int
    cpus: float
    gpus: float


def greet(address: str, name: str) -> Cluster:
    """What a cluster has, once it is sure that this process can join it.

    Args:
        address: `HOST:PORT` of the head, as Ray is to use it.
        name: what the user calls it.

    Raises:
        ClusterError: something else answers there, or a Ray of another version, or one that wants another token.
    """
    try:
        ensure_token_if_auth_enabled(None, create_token_if_missing=False)
    except AuthenticationError:
        raise ClusterError(
            f"Ray at {name} cannot be asked: RAY_AUTH_MODE is token, but there is none here. Set {TOKEN_ADVICE}."
        ) from None
    channel: Any = init_grpc_channel(address, [("grpc.enable_http_proxy", 0)])
    try:
        versions, nodes = _versions(channel), _nodes(channel)
    except grpc.RpcError as error:
        raise ClusterError(f"Ray at {name} cannot be used: {_refusal(error)}") from None
    finally:
        channel.close()
    _check_versions(versions, name)
    return Cluster(len(nodes), *(sum(node.resources_total.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")))


def _versions(channel: Any) -> dict[str, str]:
    request = InternalKVGetRequest(key=VERSIONS, namespace=KV_NAMESPACE_CLUSTER)
    reply = gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel).InternalKVGet(request, timeout=KNOCK_SECONDS)
    return json.loads(reply.value or "{}")


def _nodes(channel: Any) -> list[Any]:
    request = GetAllNodeInfoRequest(state_filter=GcsNodeInfo.ALIVE)
    reply = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).GetAllNodeInfo(request, timeout=KNOCK_SECONDS)
    return list(reply.node_info_list)


def _refusal(error: Any) -> str:
    code = error.code()
    if code != grpc.StatusCode.UNAUTHENTICATED:
        return (
            f"what answers there is not the head of a Ray cluster ({code.name}). Name the head's HOST:6379, which "
            "is not its dashboard."
        )
    if is_token_auth_enabled():
        return f"it refuses the token that is here. Set {TOKEN_ADVICE}."
    return f"it wants a token. Set RAY_AUTH_MODE=token, and {TOKEN_ADVICE}."


def _check_versions(found: dict[str, str], name: str) -> None:
    """By Ray's own rule, which a cluster that has not said its versions yet passes."""
    if not found:
        return
    try:
        check_version_info(found, "this machine")
    except RuntimeError:
        ray_here, python_here = compute_version_info()
        raise ClusterError(
            f"Ray at {name} is Ray {found['ray_version']} on Python {found['python_version']}, but here is Ray "
            f"{ray_here} on Python {python_here}: install the same on both."
        ) from None
