"""Where a Ray cluster is meant to be, and whether anything answers there. Ray is not imported."""

import ipaddress
import socket
from urllib.parse import urlsplit

KNOCK_SECONDS = 10
"""How long a cluster may take to answer at all."""


def place(address: str) -> tuple[str, int] | None:
    """Host and port of `HOST:PORT` or `ray://HOST:PORT`; None where one of them is not named.

    Raises:
        ValueError: the port is no port.
    """
    found = urlsplit(address if "//" in address else f"//{address}")
    return (found.hostname, found.port) if found.hostname and found.port else None


def knock(host: str, port: int) -> None:
    """Raises an `OSError` unless something takes connections there."""
    socket.create_connection((host, port), KNOCK_SECONDS).close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host of this name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
