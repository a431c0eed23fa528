"""The tests' side: they run here, out of the program's reach, and what they call is called there.

A test sees values made of Python's own types, never an object of the program, so that no `==`, no patched builtin, no
early exit and no look at the stack can make it pass. Arguments are copies: what a program does to them is not seen.
"""

import builtins
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from . import values

_ENDING = (StopIteration, StopAsyncIteration)
"""Raised in a loop of the tests these would end it quietly, before it has compared everything."""


class ProgramGoneError(BaseException):
    """The program ended, or answers what is no answer; no `except Exception` of a test is to take that for an error."""


class ProgramError(Exception):
    """The program raised an error of its own making."""


class Wire:
    """What is asked of a program, and answered."""

    def __init__(self, inbox: int, outbox: int) -> None:
        self.inbox, self.outbox = inbox, outbox
        self.gone = False

    def answer(self) -> Any:
        """Wait for an answer and return its value, or raise the builtin error that the program raised.

        Raises:
            ProgramGoneError: there is none.
        """
        try:
            message = values.receive(self.inbox)
            if "value" in message:
                return values.decode(message["value"], lambda number: Remote(self, int(number)))
            name, text = map(str, message["error"])
        except (EOFError, OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            self.gone = True
            raise ProgramGoneError(str(error)) from None
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, _ENDING):
            try:
                error = kind(text)
            except TypeError:  # a UnicodeError wants more than a text
                error = ProgramError(f"{name}: {text}")
            raise error
        raise ProgramError(f"{name}: {text}")

    def ask(self, action: str, **details: Any) -> Any:
        """Ask for something, and return the answer."""
        try:
            values.send(self.outbox, {"do": action, **details})
        except OSError:
            self.gone = True
            raise ProgramGoneError from None
        return self.answer()


class Remote:
    """Something that only the program has: it can be called, and its attributes and items can be had, no more."""

    __slots__ = ("_of", "_wire")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, wire: Wire, of: int) -> None:
        self._wire, self._of = wire, of

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """Call it with copies of the arguments, and return a copy of what it returns."""
        positional_wire, named_wire = values.encode(list(positional), _number), values.encode(named, _number)
        return self._wire.ask("call", of=self._of, positional=positional_wire, named=named_wire)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._wire.ask("attribute", of=self._of, name=name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._wire.ask("items", of=self._of))

    def _refuse(self, *others: Any) -> bool:
        raise TypeError("an object of the program's own class has no truth and no equal: compare its parts.")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse


class Names(dict):
    """The names of the tests: their own first, then the library's, and what is left is the program's."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(__name__="tests", __builtins__=vars(builtins))
        self._wire = wire

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        if name in sys.stdlib_module_names:
            self[name] = import_module(name)
        else:
            try:
                self[name] = self._wire.ask("name", name=name)
            except KeyError:
                raise NameError(f"name {name!r} is not defined") from None
        return self[name]


def _number(value: Any) -> int:
    """Return by what number the program knows an object of its own."""
    if isinstance(value, Remote):
        return value._of
    raise TypeError(f"a {type(value).__name__} cannot be handed to a program: use numbers, texts and collections.")
