"""What every actor of ours is: a desk that passes calls on to the worker behind it. It imports no torch."""

import os
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray

from unigrpo.config import SFTConfig, TrainConfig
from unigrpo.machine import set_threads, usage
from unigrpo.profiling import AFTER, recorded, traces_of

WORK = ("sample", "begin", "finish", "judge", "learn", "measure", "behaviour", "logprobs")
"""What a worker is there for; the rest is orchestration."""


class Desk:
    """Passes calls on to the worker that an actor hosts, and keeps count of the time that its work takes."""

    def __init__(self, make: Callable[[], Any]):
        self.make = make
        self.hosted: Any = None
        self.busy = 0.0
        self.calls: Counter[str] = Counter()

    def run(self, name: str, *args: Any) -> Any:
        """Calls a method of the worker."""
        if self.hosted is None:
            self.hosted = self.make()
        started = time.perf_counter()
        self.calls[name] += 1
        traces = self.hosted.traces if name in WORK and self.calls[name] == AFTER + 1 else None
        try:
            with recorded(traces, f"{type(self.hosted).__name__}-{os.getpid()}-{name}"):
                return getattr(self.hosted, name)(*args)
        finally:
            if name in WORK:
                self.busy += time.perf_counter() - started

    def status(self) -> dict[str, float]:
        """The process, its memory, and the seconds it has worked since this was last asked."""
        busy, self.busy = self.busy, 0.0
        return {"pid": os.getpid(), "busy": busy} | usage()


class Host:
    """An actor that hosts a worker that works alone.

    It makes the worker when it is first asked something: what that raises reaches the driver as it is, unlike the
    failure of an actor's constructor, and an actor that Ray has started again makes it anew.
    """

    def __init__(self, kind: Callable[..., Any], *args: Any):
        self.desk = Desk(partial(kind, *args))

    def run(self, name: str, *args: Any) -> Any:
        """See `Desk.run`."""
        return self.desk.run(name, *args)

    def status(self) -> dict[str, float]:
        """See `Desk.status`."""
        return self.desk.status()


class Hosted:
    """What every worker has."""

    def __init__(self, config: TrainConfig | SFTConfig):
        set_threads(config.cluster.threads)
        self.traces = traces_of(config.tracking, Path(config.output))

    def ready(self) -> None:
        """Answers that the worker has loaded."""

    def where(self) -> str:
        """The process and its node, for a debugger, a profiler or a signal."""
        return f"{os.getpid()}@{ray.util.get_node_ip_address()}"
