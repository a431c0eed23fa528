"""A Ray that is started for one run, and that nobody else can use: Ray runs any code for whoever reaches it.

It listens on loopback only. Told 127.0.0.1, Ray 2.55 would take the machine's own address instead and listen on all
interfaces; a switch that it has for macOS and Windows makes it take 127.0.0.1 as it is. Other users of the machine
reach loopback too, so that all calls also need a token, which is made for this run and is in no file.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue]

MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"


@contextmanager
def guarded() -> Iterator[None]:
    """A Ray that the block starts is guarded, with all its processes; with RAY_AUTH_MODE the user chooses the token."""
    fresh = {} if os.environ.get(MODE) else {MODE: "token", TOKEN: secrets.token_hex(32)}
    with _environment(fresh), _loopback():
        forget()
        yield


def forget() -> None:
    """Lets Ray read mode and token from the environment anew; it does so once, and keeps those of the Ray before."""
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Variables that processes started in the block inherit, and none later: the next cluster has another token."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _loopback() -> Iterator[None]:
    """Not by the variable RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, for joining a cluster must not change."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
