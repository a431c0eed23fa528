"""Running the tests of a program, one by one."""

import contextlib
from collections.abc import Callable
from typing import Any

from .program import describe
from .remote import Names, ProgramGoneError, Wire


class Trial:
    """Tests, and how they went."""

    def __init__(self, wire: Wire, over: Callable[[], bool]) -> None:
        """Args:
        over: whether the program is gone or late, whatever a test that catches everything makes of it.
        """
        self.wire, self.over = wire, over
        self.names = Names(wire)
        self.passed: list[bool] = []
        self.note = ""
        """Why the first that failed did."""
        self.broken = ""
        """What is wrong with the tests themselves."""

    def run(self, tests: dict[str, Any]) -> None:
        """Wait until the program has run, and run its tests.

        Args:
            tests: `helpers`, whose names are trusted and may be used by the tests, but the one called
                `entry_point`; `setup`, run before them; and `tests`, each of which passes if it raises nothing.
        """
        setup, *each = self._compiled([tests["setup"], *tests["tests"]])
        if self.broken:
            return
        try:
            self.wire.answer()
            self._define(tests["helpers"], tests["entry_point"])
            exec(setup, self.names)
        except Exception as error:
            self.note = ": ".join(describe(error))
            return
        for place, code in enumerate(each):
            self._run_one(code, f"test {place + 1} of {len(each)}")

    def _run_one(self, code: Any, name: str) -> None:
        failed = ""
        try:
            exec(code, self.names)
        except ProgramGoneError:
            raise
        except Exception as error:
            failed = f"{': '.join(filter(None, describe(error)))} ({name})"
        if self.over():
            raise ProgramGoneError
        self.passed.append(not failed)
        self.note = self.note or failed

    def _define(self, helpers: str, entry_point: str) -> None:
        # They are the beginning of a program as a prompt has it, so perhaps none.
        with contextlib.suppress(SyntaxError, ValueError):
            exec(compile(helpers, "prompt.py", "exec"), self.names)
            self.names.pop(entry_point, None)

    def _compiled(self, sources: list[str]) -> list[Any]:
        codes = []
        for source in sources:
            try:
                codes.append(compile(source, "tests.py", "exec"))
            except (SyntaxError, ValueError) as error:
                self.broken = f"{error}: {source!r:.100}"
                codes.append(None)
        return codes
