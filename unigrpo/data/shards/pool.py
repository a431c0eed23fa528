"""Processes that read: each runs some lanes, and is asked for a few items of a lane at a time, ahead of their use.

They are new programs, not forks, for a process that uses CUDA cannot be forked; nor do they run the caller's main
module again. They end when the one that asks is gone.
"""

import os
import pickle
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Pipe
from queue import SimpleQueue
from subprocess import DEVNULL, Popen, TimeoutExpired
from time import perf_counter
from typing import Any

from unigrpo.data.shards.lanes import Item, Lane, Maker, Place
from unigrpo.data.shards.serve import CHUNK
from unigrpo.data.shards.units import Unit
from unigrpo.errors import DataError, UniGRPOError

PARTS = 2
"""Parts of the data that each process reads ahead, where they are used one after the other."""
SERVE = "unigrpo.data.shards.serve"


class Pool:
    """Reads lanes in `workers` processes, or in this one when there are none."""

    def __init__(self, workers: int):
        self.workers = [_Worker(number) for number in range(workers)]
        self.makers: list[Maker] = []
        self.opened = 0
        self.waited = 0.0
        """Seconds in which the caller had to wait for an item, or read it itself."""
        self.close = weakref.finalize(self, _close, self.workers)

    def add(self, maker: Maker) -> int:
        """Return the number by which lanes name what makes their items."""
        self.makers.append(maker)
        for worker in self.workers:
            worker.tell(("maker", len(self.makers) - 1, maker))
        return len(self.makers) - 1

    def lane(self, maker: int, units: Sequence[Unit], start: Place, ahead: int) -> Iterator[Item]:
        """Yield the items of a lane.

        Args:
            ahead: items that may be read before they are asked for.

        Raises:
            DataError: a process was lost.
        """
        self.opened += 1
        if not self.workers:
            return self._timed(iter(Lane(self.makers[maker], units, start)))
        worker = self.workers[self.opened % len(self.workers)]
        return self._timed(worker.lane(self.opened, maker, units, start, max(1, ahead // CHUNK)))

    def in_order(self, maker: int, units: Sequence[Unit]) -> Iterator[tuple[Unit, Iterator[Item]]]:
        """Yield each part of the data with its items, while the next ones are being read."""
        opened: deque[tuple[Unit, Iterator[Item]]] = deque()
        left, most = iter(units), max(1, PARTS * len(self.workers))
        while True:
            for unit in islice(left, most - len(opened)):
                opened.append((unit, self.lane(maker, [unit], (0, 0), 4 * CHUNK)))
            if not opened:
                return
            yield opened.popleft()

    def _timed(self, items: Iterator[Item]) -> Iterator[Item]:
        while True:
            started = perf_counter()
            item = next(items, None)
            self.waited += perf_counter() - started
            if item is None:
                return
            yield item


class _Worker:
    """One process, and the thread that takes what it sends, so that it never waits for us to look."""

    def __init__(self, number: int):
        self.connection, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-m", SERVE, str(theirs.fileno())]
            paths = {"PYTHONPATH": os.pathsep.join(sys.path), "TOKENIZERS_PARALLELISM": "false"}
            self.process = Popen(command, stdin=DEVNULL, env=os.environ | paths, pass_fds=[theirs.fileno()])
        self.inboxes: dict[int, SimpleQueue[Any]] = {}
        self.gone = False
        threading.Thread(target=self._listen, name=f"data-{number}", daemon=True).start()

    def tell(self, message: Any) -> None:
        if self.gone:
            raise self._lost()
        try:
            self.connection.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))
        except OSError:
            raise self._lost() from None

    def lane(self, name: int, maker: int, units: Sequence[Unit], start: Place, ahead: int) -> Iterator[Item]:
        inbox = self.inboxes[name] = SimpleQueue()
        self.tell(("lane", name, maker, units, start))
        for _ in range(ahead):
            self.tell(("more", name))
        return self._items(name, inbox)

    def _items(self, name: int, inbox: "SimpleQueue[Any]") -> Iterator[Item]:
        ready: deque[Item] = deque()
        try:
            while True:
                found = None if self.gone and inbox.empty() else inbox.get()
                if found is None:
                    raise self._lost()
                if isinstance(found, UniGRPOError):
                    raise found
                if isinstance(found, str):
                    raise RuntimeError(f"a process that reads data failed:\n{found}")
                if not found:
                    return
                self.tell(("more", name))
                ready.extend(found)
                while ready:
                    yield ready.popleft()
        finally:
            self.inboxes.pop(name, None)
            with suppress(DataError):
                self.tell(("drop", name))

    def _listen(self) -> None:
        try:
            while True:
                name, found = pickle.loads(self.connection.recv_bytes())
                inbox = self.inboxes.get(name)
                if inbox is not None:
                    inbox.put(found)
        except (EOFError, OSError):
            self.gone = True
            for inbox in list(self.inboxes.values()):
                inbox.put(None)

    def _lost(self) -> DataError:
        with suppress(TimeoutExpired):
            self.process.wait(1.0)
        return DataError(
            f"a process that reads data ended with status {self.process.returncode}; -9 is lack of memory. Lower "
            "data.buffer or sft.workers, and go on with resume=true."
        )


def _close(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        with suppress(DataError):
            worker.tell(("stop", None))
    for worker in workers:
        try:
            worker.process.wait(2.0)
        except TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
