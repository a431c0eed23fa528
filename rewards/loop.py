"""The event loop of rewards that are `async`: one for the process, in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import lru_cache
from typing import Any


def submit(coroutine: Coroutine[Any, Any, Any]) -> "Future[Any]":
    """Run a coroutine beside whatever the caller does next.

    Everything runs in one loop, which lasts as long as the process: a client keeps its connections from step to step.
    """
    return asyncio.run_coroutine_threadsafe(coroutine, _loop(os.getpid()))


@lru_cache(maxsize=1)
def _loop(process: int) -> asyncio.AbstractEventLoop:
    # By process, since a thread does not survive a fork.
    del process
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="async rewards", daemon=True).start()
    return loop
