"""Waiting for actors: with a limit, and with words for what went wrong."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayActorError, RayError, RayTaskError

from unigrpo.errors import LostWorkerError, UniGRPOError
from unigrpo.memory import out_of_memory

SLICE_SECONDS = 5.0
RANKS_APART = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "socket timeout")
"""What torch says on the ranks that are left when one of them is gone."""


def call(reference: ObjectRef, what: str) -> Any:
    """The result of a remote call; what a user can act on is raised as what it is, not wrapped by Ray.

    Raises:
        LostWorkerError: the worker died.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise _cause(error, what) from None
    except RayActorError as error:
        if isinstance(getattr(error, "cause", None), UniGRPOError):
            raise error.cause from None  # pyright: ignore[reportAttributeAccessIssue]
        raise LostWorkerError(f"{what} died: {' '.join(str(error).split())}") from error
    except RayError as error:  # what it was to answer with, or its node, is gone
        raise LostWorkerError(f"{what} is lost: {' '.join(str(error).split())}") from error


def gather(references: Sequence[ObjectRef], timeout: float | None, what: str) -> list[Any]:
    """The results of calls to several workers; the first failure ends the waiting, as the others may wait for it."""
    for _ in completed(references, timeout, what):
        pass
    return [call(reference, what=what) for reference in references]


def completed(references: Sequence[ObjectRef], timeout: float | None, what: str) -> Iterator[Any]:
    """The results of calls as they come; the limit is that of waiting for the next one.

    Raises:
        LostWorkerError: a worker died, or none answered in time.
    """
    pending = list(references)
    while pending:
        done, answer = first(pending, timeout, what)
        pending.remove(done)
        yield answer


def first(references: Sequence[ObjectRef], timeout: float | None, what: str) -> tuple[ObjectRef, Any]:
    """The call that is done first, and its result; see `completed`."""
    ends = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        if not ray.is_initialized():
            raise LostWorkerError(f"{what} is not waited for any more: the cluster was left.")
        # In slices: a thread that waits when the cluster is left would go on waiting.
        done, _ = ray.wait(list(references), timeout=max(0.0, min(SLICE_SECONDS, ends - time.monotonic())))
        if done:
            return done[0], call(done[0], what=what)
        if timeout is not None and time.monotonic() >= ends:
            raise LostWorkerError(f"{what} did not answer within {timeout:.0f} s. The cluster has {free()}.")


def within(timeout: float, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function of Ray's returns that waits without a limit of its own.

    Raises:
        LostWorkerError: it waits for longer, or for a worker that died.
    """
    found: Future[Any] = Future()

    def run() -> None:
        try:
            found.set_result(function(*args, **kwargs))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return found.result(timeout)
    except TimeoutError:
        raise LostWorkerError(f"{what} did not answer within {timeout:.0f} s. The cluster has {free()}.") from None
    except RayError as error:
        raise LostWorkerError(f"{what} died: {' '.join(str(error).split())}") from error


def _cause(error: RayTaskError, what: str) -> BaseException:
    cause = error.cause
    if isinstance(cause, UniGRPOError):
        return cause
    if isinstance(cause, RayError) and not isinstance(cause, RayTaskError):  # of a worker that this one had asked
        return LostWorkerError(f"{what} lost another: {' '.join(str(cause).split())}")
    if isinstance(cause, BaseException) and out_of_memory(cause):
        return LostWorkerError(f"{what} ran out of memory: {' '.join(str(cause).split())}")
    if isinstance(cause, RuntimeError) and any(word in str(cause).lower() for word in RANKS_APART):
        return LostWorkerError(f"{what} lost another rank: {' '.join(str(cause).split())[:200]}")
    return error


def free() -> str:
    """What the cluster has to spare."""
    found = ray.available_resources()
    return ", ".join(f"{found.get(name, 0):g} {name} free" for name in ("CPU", "GPU"))
