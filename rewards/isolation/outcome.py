"""What a call of an isolated verifier may take, and what comes of it."""

import math
from dataclasses import dataclass
from typing import Any

from rewards.score import Fault
from unigrpo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a verifier may go in one call."""

    seconds: float = 3.0
    """After these an alarm in the child stops the call; what ignores the alarm is killed after `hard`."""
    memory_gb: float = 2.0
    """Address space of a child in GB of 10^9 bytes, its libraries included; on Linux."""

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{key} of an isolated reward is {value}: set it to a number above 0.")

    @property
    def hard(self) -> float:
        """Seconds after which a child that has not answered is killed."""
        return 2.5 * self.seconds + 1


@dataclass(frozen=True)
class Outcome:
    """What came of one call: a value, or what stopped the verifier, or what it raised."""

    value: Any = None
    """What the verifier returned, as numbers, text, lists and dictionaries, or a `Score`."""
    fault: Fault = ""
    """How the arguments stopped the verifier: it took too long, or too much memory, or the process ended, twice."""
    error: str = ""
    """An exception of the verifier: `TypeName: message (file:line)`. Empty where there is a fault."""
    note: str = ""
    """More about a fault, for the log."""
