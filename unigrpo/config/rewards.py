"""What a response earns, and what happens when that cannot be told."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(kw_only=True)
class RewardEntry:
    """One reward of the weighted sum."""

    weight: float = 1.0
    """Factor in the sum; 0 logs the reward and nothing more."""
    path: str | None = None
    """Your own: `file.py:function` or `package.module:function`; by default the reward of this name that is shipped, or
    that an installed package has under the entry point `unigrpo.rewards`."""
    args: dict[str, Any] = field(default_factory=dict)
    """Settings handed to the reward by name."""
    min: float | None = None
    """Values below count as this."""
    max: float | None = None
    """Values above count as this."""
    requires: list[str] = field(default_factory=list)
    """Other rewards that must be at least 1 for this one to count; it is worth 0 otherwise."""
    normalize: Literal["none", "group", "batch"] = "none"
    """Subtract the mean and divide by the standard deviation, over the rollouts of the prompt or over all of the step,
    before the weight. The sum itself is normalised by `algo.advantage`."""
    timeout: float | None = None
    """Seconds one call may take; by default the reward's own limit. A function with a limit runs in a process of its
    own, which is killed; what an answer's own verifier could not decide in time is worth 0."""
    on_error: Literal["nan", "zero", "raise"] | None = None
    """When the reward raises: `nan` leaves the rollout out of its group, `zero` counts as 0, `raise` stops the run; by
    default the reward's own choice, which is `nan` unless it says otherwise."""
    python: str | None = None
    """A Python interpreter of another environment to run the reward in, for packages that do not go with ours."""
    memory_gb: float = 4.0
    """Address space of a reward that runs in a process of its own."""


@dataclass(kw_only=True)
class ScoringSection:
    """What happens when rewards fail."""

    max_failed: float = 0.1
    """Share of a step's rollouts that may be left without a reward."""
    max_failed_steps: int = 2
    """Steps in a row in which more may be; one more stops the run."""
