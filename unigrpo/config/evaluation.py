"""What `unigrpo eval` is configured by. A suite is a yaml file of this: a protocol with a name."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.rewards import RewardEntry
from unigrpo.config.sections import ClusterSection, DataSection, ModelSection, SamplingSection
from unigrpo.config.verbs import TaskSection

COMPARED = ("likelihood", "likelihood_normalized")
"""What a multiple choice by likelihood is right by: the sum over a choice's tokens, or that over its characters."""


@dataclass(kw_only=True)
class ChoicesSection:
    """Multiple choice without sampling: the likeliest choice after the prompt is the answer.

    Likelihoods are Monte-Carlo estimates of the ELBO, over masks of 1 to all tokens of a choice. Rows have `choices`.
    """

    of: Literal["text", "letter"] = "text"
    """What is scored: the text of each choice, or its letter."""
    samples: int = 128
    """Masks of each choice, their numbers of tokens stratified; a choice of one token needs one."""
    batch_size: int = 64
    """Most masked copies in one forward pass."""


@dataclass(kw_only=True)
class FidSection:
    """Frechet distance between the drawings and pictures, by features of your own, such as those of an Inception."""

    features: str | None = None
    """`file.py:function`; it is called with a list of [H, W, 3] uint8 arrays and returns an array
    [images, features]."""
    path: str | None = None
    """Folder of pictures to compare with."""


def _held_out() -> DataSection:
    return DataSection(split="test", shuffle=False)


def _greedy() -> SamplingSection:
    return SamplingSection(temperature=0.0)


@dataclass(kw_only=True)
class EvalTaskSection(TaskSection):
    """One of the tasks of an evaluation, with the defaults of one that is alone."""

    data: DataSection = field(default_factory=_held_out)
    """Prompts."""
    rollout: SamplingSection = field(default_factory=_greedy)
    """Sampling."""
    likelihood: ChoicesSection | None = None
    """Multiple choice by likelihood, in place of sampling and rewards."""
    categories: list[str] = field(default_factory=list)
    """Columns of the data by whose values results are given too, such as `subject`."""
    summary: Literal["yes_no", "mme"] | None = None
    """Of the reward `yes_no` also precision, recall, F1 and share of yes, as POPE; or MME's scores."""
    drawings: Literal["geneval", "wise"] | None = None
    """Keep all drawings in the folders that this benchmark's own scorer reads."""
    fid: FidSection | None = None
    """How far the drawings are from pictures."""


@dataclass(kw_only=True)
class EvalConfig:
    """`unigrpo eval`: accuracy and pass@k of a model on prompts with answers, with 95 % intervals."""

    output: str = "runs/eval"
    """Folder for samples.jsonl, metrics.json, table.md and table.png; of several suites, for a folder each."""
    protocol: str | None = None
    """Name of the protocol that these settings are; `--suite NAME` takes a shipped one."""
    get: str | None = None
    """Where its data are to be had, for whoever has none."""
    seed: int = 0
    """Seed of the sampler, of the masks and of the intervals."""
    overwrite: bool = False
    """Replace an evaluation that is already in `output`."""
    samples: int = 1
    """Responses of each prompt; pass@k is given for k = 1, 2, 4, ... up to it."""
    limit: int | None = None
    """Most prompts."""
    bootstrap: int = 1000
    """Resamples of the prompts behind the intervals that have no closed form."""
    solved: str | None = None
    """The reward whose value of at least 1 means solved; by default the first one."""
    model: ModelSection = field(default_factory=ModelSection)
    """The model."""
    data: DataSection = field(default_factory=_held_out)
    """Prompts."""
    rollout: SamplingSection = field(default_factory=_greedy)
    """Sampling."""
    rewards: dict[str, RewardEntry] = field(default_factory=dict)
    """What a response earns; by default `math`, and of a drawing nothing."""
    likelihood: ChoicesSection | None = None
    """Multiple choice by likelihood, in place of sampling and rewards."""
    categories: list[str] = field(default_factory=list)
    """Columns of the data by whose values results are given too, such as `subject`."""
    summary: Literal["yes_no", "mme"] | None = None
    """Of the reward `yes_no` also precision, recall, F1 and share of yes, as POPE; or MME's scores."""
    drawings: Literal["geneval", "wise"] | None = None
    """Keep all drawings in the folders that this benchmark's own scorer reads."""
    fid: FidSection | None = None
    """How far the drawings are from pictures."""
    tasks: dict[str, EvalTaskSection] = field(default_factory=dict)
    """Several tasks by name, each with its own prompts, sampling and rewards, instead of those above."""
    max_failed: float = 0.1
    """Share of the responses that may be left without a reward, because one of them failed; more is an error."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads."""
