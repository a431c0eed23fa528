"""A program in its own process: its body is run, and then its functions are called as it is asked."""

import contextlib
import os
import sys
from collections.abc import Callable
from itertools import islice
from types import ModuleType
from typing import Any, NoReturn

from . import values

FILE = "program.py"
ITEMS = 100_000
"""Things that are taken from an iterator, at most."""
NOTE = 200
"""Characters of a message about an error."""


def describe(error: BaseException) -> list[str]:
    """Return the name and the text of an error, which may be of any class and fail when it is asked."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    return [type(error).__name__[:NOTE], text[:NOTE]]


def run(sources: list[str], name: str) -> ModuleType:
    """Run the first of some sources that is Python, as a module of this name.

    Raises:
        BaseException: whatever it raises.
    """
    sys.argv[:] = [FILE]
    module = ModuleType(name)
    sys.modules[name] = module
    exec(_compiled(sources), vars(module))
    return module


def serve(inbox: int, outbox: int, sources: list[str]) -> NoReturn:
    """Run a program, then answer messages about what it defines, until the other end is closed."""
    module, failed = None, None
    try:
        module = run(sources, "program")
    except BaseException as error:
        failed = describe(error)
    values.send(outbox, {"error": failed} if failed else {"value": None})
    kept: list[Any] = []
    while module:
        values.send(outbox, _reply(values.receive(inbox), module, kept))
    os._exit(0)


def finish(sources: list[str]) -> NoReturn:
    """Run a program as a whole, as `python program.py` would; end with 1 and a line on standard error if it fails."""
    status = 0
    try:
        run(sources, "__main__")
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        status = 1
        with contextlib.suppress(OSError):
            os.write(2, ": ".join(describe(error)).encode(errors="replace"))
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    os._exit(status & 255)


def _compiled(sources: list[str]) -> Any:
    for source in sources[:-1]:
        with contextlib.suppress(SyntaxError):
            return compile(source, FILE, "exec")
    return compile(sources[-1], FILE, "exec")


def _reply(request: Any, module: ModuleType, kept: list[Any]) -> dict[str, Any]:
    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    try:
        value = _ACTIONS[request["do"]](module, kept, request)
        reply = {"value": values.encode(value, keep)}
        values.framed(reply)
    except BaseException as error:
        return {"error": describe(error)}
    return reply


def _call(module: ModuleType, kept: list[Any], request: dict[str, Any]) -> Any:
    positional, named = (values.decode(request[key], kept.__getitem__) for key in ("positional", "named"))
    return kept[request["of"]](*positional, **named)


_ACTIONS: dict[str, Callable[[ModuleType, list[Any], dict[str, Any]], Any]] = {
    "name": lambda module, kept, request: vars(module)[request["name"]],
    "attribute": lambda module, kept, request: getattr(kept[request["of"]], request["name"]),
    "items": lambda module, kept, request: list(islice(iter(kept[request["of"]]), ITEMS)),
    "call": _call,
}
