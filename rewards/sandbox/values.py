"""Plain values as JSON, so that nothing a program makes is ever run, or compared by its own rules, outside of it."""

import json
import os
from collections.abc import Callable
from typing import Any

LIMIT = 1 << 22
"""Bytes of a message to or from a program."""

STUBBORN = 75
"""The exit status of a supervisor whose tests did not stop when their time was up."""


class TooLargeError(ValueError):
    """A message is longer than its limit."""


def encode(value: Any, keep: Callable[[Any], int]) -> Any:
    """Return a value as JSON can hold it; what is no plain value is kept where it is, and named by a number.

    Args:
        keep: keeps such an object, or knows it, and returns its number.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list):
        return [encode(part, keep) for part in value]
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encode(part, keep) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key, keep), encode(part, keep)] for key, part in value.items()]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return encode(value.tolist(), keep)
    return {"object": keep(value)}


def decode(wire: Any, find: Callable[[int], Any]) -> Any:
    """Return the value that was encoded, made of Python's own types only.

    Args:
        find: returns what stands for the object of a number.

    Raises:
        ValueError: it is nothing that `encode` writes.
    """
    if wire is None or isinstance(wire, str | bool | int | float):
        return wire
    if isinstance(wire, list):
        return [decode(part, find) for part in wire]
    if isinstance(wire, dict) and len(wire) == 1:
        ((kind, inner),) = wire.items()
        make = _DECODERS.get(kind)
        if make is not None:
            return make(inner, find)
    raise ValueError("this is no value")


def _number(value: int | float) -> Any:
    if isinstance(value, float):
        return float(value)
    return int(value) if abs(value) < 1 << 63 else {"int": hex(value)}


def _tuple(inner: list, find: Callable[[int], Any]) -> tuple:
    return tuple(decode(part, find) for part in inner)


_DECODERS: dict[str, Callable[[Any, Callable[[int], Any]], Any]] = {
    "tuple": _tuple,
    "set": lambda inner, find: set(_tuple(inner, find)),
    "frozenset": lambda inner, find: frozenset(_tuple(inner, find)),
    "dict": lambda inner, find: {decode(key, find): decode(part, find) for key, part in inner},
    "bytes": lambda inner, find: bytes.fromhex(inner),
    "complex": lambda inner, find: complex(*inner),
    "int": lambda inner, find: int(inner, 16),
    "object": lambda inner, find: find(inner),
}


def framed(message: Any, limit: int = LIMIT) -> bytes:
    """Return a message as it is written to a pipe, its length first.

    Raises:
        TooLargeError: it is longer than the limit.
    """
    body = json.dumps(message).encode()
    if len(body) > limit:
        raise TooLargeError(f"a value of {len(body)} bytes is longer than {limit}")
    return len(body).to_bytes(4, "big") + body


def send(file: int, message: Any, limit: int = LIMIT) -> None:
    """Write a message to a pipe."""
    rest = memoryview(framed(message, limit))
    while rest:
        rest = rest[os.write(file, rest) :]


def receive(file: int, limit: int = LIMIT) -> Any:
    """Read a message from a pipe.

    Raises:
        EOFError: the other end was closed.
        ValueError: it is no message, or too long.
    """
    length = int.from_bytes(_read(file, 4), "big")
    if length > limit:
        raise TooLargeError(f"a value of {length} bytes is longer than {limit}")
    try:
        return json.loads(_read(file, length))
    except RecursionError as error:
        raise ValueError("a value is nested too deeply") from error


def _read(file: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(file, min(length, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
