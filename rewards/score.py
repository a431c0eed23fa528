"""What a reward may say of a response beyond a number."""

import math
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["", "timeout", "memory", "crash", "error"]


@dataclass(frozen=True)
class Score:
    """A reward with what it is made of."""

    value: float
    """NaN says that the reward could not be had, through no fault of the response."""
    parts: dict[str, float] = field(default_factory=dict)
    """Numbers beside it, logged as `reward/NAME/PART`; they earn nothing."""
    note: str = ""
    """Why, for whoever reads the rollouts."""
    fault: Fault = ""
    """How the response stopped the verifier, if it did: counted as `reward/NAME/FAULT`. `error` is the verifier's."""

    @property
    def failed(self) -> bool:
        """Whether there is no value."""
        return math.isnan(self.value)


@dataclass(frozen=True)
class Judged:
    """What all rewards say of one rollout."""

    scores: dict[str, Score]
    """By name; a reward that does not apply is left out."""
    seconds: dict[str, float]
    """Time that each took."""
