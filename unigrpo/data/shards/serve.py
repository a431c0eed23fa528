"""What a process that reads data runs: it answers the one that started it until that is gone."""

import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from unigrpo.data.shards.lanes import Item, Lane, Maker
from unigrpo.errors import UniGRPOError

CHUNK = 16
"""Items that travel together."""


def serve(connection: Connection) -> None:
    """Answer one process until it is gone. Signals are its business: it may yet have a run to save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    makers: dict[int, Maker] = {}
    lanes: dict[int, Iterator[Item]] = {}
    try:
        while True:
            kind, name, *rest = pickle.loads(connection.recv_bytes())
            if kind == "maker":
                makers[name] = rest[0]
            elif kind == "lane":
                lanes[name] = iter(Lane(makers[rest[0]], *rest[1:]))
            elif kind == "stop":
                return
            elif kind == "drop":
                lanes.pop(name, None)
            elif name in lanes:
                connection.send_bytes(pickle.dumps((name, _more(lanes[name])), protocol=pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        return


def _more(lane: Iterator[Item]) -> Any:
    """The next items, none at the end; or what went wrong, ours with its traceback."""
    try:
        return list(islice(lane, CHUNK))
    except UniGRPOError as error:
        return error
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
