"""The records that flow through a step: Prompt -> Rollout -> Scored (-> Batch, in `unigrpo.batch`) -> Metrics."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Task = Literal["text", "understand", "image"]
Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Support:
    """The ids a position may hold: `start <= id < stop` without `banned`. Sampler and likelihood share one per task."""

    start: int
    stop: int
    banned: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """One query: what the policy is asked, as text and as token ids, and what the rewards need to judge the answer."""

    id: str
    task: Task
    text: str
    tokens: np.ndarray
    """[T] int64, with the template applied and the beginning-of-sequence id in front."""
    answer: str | None = None
    images: tuple[np.ndarray, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    """The other columns of the data row, for rewards that ask for them by name."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The settings that define the distribution a rollout was drawn from."""

    temperature: float
    guidance: float
    gen_length: int
    block_length: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """One response of the policy, kept as the tokens that were sampled; it is never decoded and encoded again."""

    id: str
    """`step/prompt id/index in the group`: names the rollout in logs and keys its masks."""
    prompt: Prompt
    tokens: np.ndarray
    """[L] int64, up to and including the first end-of-sequence id and its tail."""
    commit_step: np.ndarray
    """[L] int32, the denoising step at which each token was committed."""
    output: str
    """The text before the first end-of-sequence id."""
    sampling: Sampling
    truncated: bool
    """Whether the response filled `gen_length` without ending."""
    policy_version: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A rollout with its reward and the unweighted parts it is the weighted sum of."""

    rollout: Rollout
    reward: float
    parts: dict[str, float]
