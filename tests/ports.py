"""Ports for servers that tests start."""

import random
import socket

RANGE = range(20_000, 32_768)
"""Above those that Ray's heads give their workers, below those that a system gives to who makes a connection."""


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on."""
    found: dict[int, socket.socket] = {}
    while len(found) < count:
        port = random.SystemRandom().choice(RANGE)
        if port not in found:
            try:
                found[port] = socket.create_server(("127.0.0.1", port))
            except OSError:
                continue
    for taken in found.values():
        taken.close()
    return list(found)


def free_port() -> int:
    """A port that nothing listens on."""
    return free_ports(1)[0]
