"""What a child process is started with."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.isolation import child
from rewards.isolation.outcome import Limits
from unigrpo.errors import RewardError

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    # gmpy2 computes for minutes without a look at signals, so the alarm would not ring.
    "MPMATH_NOGMPY": "1",
    "SYMPY_GROUND_TYPES": "python",
}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a child is to load, and where."""

    name: str
    """What messages call it."""
    target: str
    args: dict[str, Any]
    limits: Limits
    python: str | None
    """The interpreter of another environment, or None for this process' own."""

    def command(self) -> list[str]:
        """Return the program and its arguments.

        Raises:
            RewardError: there is no such interpreter.
        """
        python = shutil.which(self.python or sys.executable or "")
        if python is None:
            raise RewardError(f"{self.name}: there is no Python at {self.python!r}: give the path of an interpreter.")
        # Absolute but not resolved: the link in a virtual environment is what makes it one.
        return [str(Path(python).absolute()), str(Path(child.__file__).resolve())]

    def environment(self) -> dict[str, str]:
        """Return the child's environment variables."""
        found = {"PYTHONHASHSEED": "0"} | dict(os.environ) | _ENVIRONMENT
        for key in ("PYTHONPATH", "PYTHONHOME") if self._is_foreign() else ():
            found.pop(key, None)
        return found

    def message(self) -> bytes:
        """Return the first line for the child."""
        path = None if self._is_foreign() else [str(Path(folder).absolute()) for folder in sys.path]
        limits = {"seconds": self.limits.seconds, "bytes": int(self.limits.memory_gb * 1e9)}
        args = packed(self.args, f"{self.name}: the setting")
        return child.encode({"target": self.target, "args": args, "path": path, "limits": limits})

    def _is_foreign(self) -> bool:
        return self.command()[0] != str(Path(sys.executable).absolute())


def packed(values: dict[str, Any], what: str) -> dict[str, Any]:
    """Return named values as the child reads them.

    Raises:
        RewardError: one is, or contains, something that cannot be sent.
    """
    found = {}
    for key, value in values.items():
        try:
            found[key] = child.pack(value)
        except (TypeError, RecursionError) as error:
            kind = error if isinstance(error, TypeError) else "value that contains itself"
            raise RewardError(
                f"{what} `{key}` is or holds a {kind}, which cannot go to another process: give numbers, text, bytes, "
                "arrays, or lists, tuples and dictionaries of them."
            ) from error
    return found
