"""The records that flow through a step: Prompt -> Rollout -> Scored (-> Batch, in `unigrpo.batch`) -> Metrics."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from unigrpo.config.sections import DRAWING as DRAWING

Task = Literal["text", "understand", "image", "think_image"]
"""Answer a text; answer about an image; draw; think about what to draw, then draw."""
TASKS: tuple[Task, ...] = get_args(Task)
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
    """[H, W, 3] uint8 each, as the image tokenizer was given them."""
    stream: str = ""
    """The entry of `tasks` it belongs to; empty in a run of one task."""
    unconditional: np.ndarray | None = None
    """Ids that stand in the place of `tokens` where guidance hides the prompt; None masks every token of it."""
    known_codes: np.ndarray | None = None
    """[N] int64, image codes that a drawing must keep, -1 where it is free; None when all is free."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The other columns of the data row, for rewards that ask for them by name."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The settings that define the distribution a rollout was drawn from."""

    temperature: float
    guidance: float
    gen_length: int
    block_length: int
    image_temperature: float = 1.0
    image_guidance: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """One response of the policy, kept as the tokens that were sampled; it is never decoded and encoded again."""

    id: str
    """`step/prompt id/index in the group`: names the rollout in logs and keys its masks."""
    prompt: Prompt
    tokens: np.ndarray
    """[L] int64. Text: up to and including the first end-of-sequence id and its tail. A drawing: the thought, if any,
    the start of the image, its codes and its end."""
    commit_step: np.ndarray
    """[L] int32, the denoising step at which each token was committed; -1 where it was given."""
    output: str
    """The text before the first end-of-sequence id; of a drawing the thought, if any."""
    sampling: Sampling
    truncated: bool
    """Whether the response filled `gen_length` without ending."""
    forwards: int = 0
    """Denoising steps that it took, those after its end included; 0 where it was not sampled."""
    policy_version: int = 0
    logprobs: np.ndarray | None = None
    """[L] float32, log-probability of each token when it was drawn, by the distribution it was drawn from; 0 where it
    was given."""
    exact_logprobs: np.ndarray | None = None
    """[L] float32, the same without kept keys and values, NaN where that was not computed; None without a cache."""
    given: np.ndarray | None = None
    """[L] bool, tokens that were not sampled and earn nothing; None when all were sampled."""
    image: np.ndarray | None = None
    """[H, W, 3] uint8, what was drawn."""

    @property
    def sampled(self) -> np.ndarray:
        """[L] bool, the tokens that the policy chose."""
        return np.ones(len(self.tokens), dtype=bool) if self.given is None else ~self.given


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A rollout with its reward and what it is made of."""

    rollout: Rollout
    reward: float
    """NaN when a reward failed, so that it is not known what the rollout earns."""
    parts: dict[str, float]
    """What each reward said, as `NAME`, and what it is made of, as `NAME/PART`; NaN where it failed."""
    notes: dict[str, str] = field(default_factory=dict)
    """Why, by the name of the reward."""
    faults: dict[str, str] = field(default_factory=dict)
    """How the response stopped a reward, or that a reward failed, by its name."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time that each reward took for it."""

    @property
    def known(self) -> bool:
        """Whether no reward failed."""
        return math.isfinite(self.reward)
