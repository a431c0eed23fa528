"""Waiting for actors: with a limit, and with words for what went wrong."""

from collections.abc import Sequence
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from unigrpo.errors import LostWorkerError, OutOfMemoryError, UniGRPOError
from unigrpo.memory import out_of_memory

RANKS_APART = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "socket timeout")
"""What torch says on the ranks that are left when one of them is gone."""


def call(reference: ObjectRef, timeout: float | None = None, what: str = "a worker") -> Any:
    """The result of a remote call; what a user can act on is raised as what it is, not wrapped by Ray.

    Raises:
        LostWorkerError: the worker died, or did not answer in time.
    """
    try:
        return ray.get(reference, timeout=timeout)
    except RayTaskError as error:
        raise _cause(error, what) from None
    except GetTimeoutError:
        raise LostWorkerError(f"{what} did not answer within {timeout:.0f} s. The cluster has {free()}.") from None
    except RayActorError as error:
        if isinstance(getattr(error, "cause", None), UniGRPOError):
            raise error.cause from None  # pyright: ignore[reportAttributeAccessIssue]
        raise LostWorkerError(f"{what} died: {' '.join(str(error).split())}") from error


def gather(references: Sequence[ObjectRef], timeout: float | None, what: str) -> list[Any]:
    """The results of calls to several workers; the first failure ends the waiting, as the others may wait for it."""
    pending = list(references)
    while pending:
        done, pending = ray.wait(pending, timeout=timeout)
        if not done:
            raise LostWorkerError(f"{what} did not answer within {timeout:.0f} s. The cluster has {free()}.")
        call(done[0], what=what)
    return [call(reference, what=what) for reference in references]


def _cause(error: RayTaskError, what: str) -> BaseException:
    cause = error.cause
    if isinstance(cause, UniGRPOError):
        return cause
    if isinstance(cause, RayActorError):  # a worker that this one had asked
        return LostWorkerError(f"{what} lost another: {' '.join(str(cause).split())}")
    if isinstance(cause, BaseException) and out_of_memory(cause):
        return OutOfMemoryError(f"{what} ran out of memory: {' '.join(str(cause).split())}")
    if isinstance(cause, RuntimeError) and any(word in str(cause).lower() for word in RANKS_APART):
        return LostWorkerError(f"{what} lost another rank: {' '.join(str(cause).split())[:200]}")
    return error


def free() -> str:
    """What the cluster has to spare."""
    found = ray.available_resources()
    return ", ".join(f"{found.get(name, 0):g} {name} free" for name in ("CPU", "GPU"))
