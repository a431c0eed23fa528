"""What each verb of the command line is configured by."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.algo import AlgoSection
from unigrpo.config.rewards import RewardEntry, ScoringSection
from unigrpo.config.sections import (
    CheckpointSection,
    ClusterSection,
    DataSection,
    ModelSection,
    OptimSection,
    RolloutSection,
    SamplingSection,
    TrackingSection,
)


@dataclass(kw_only=True)
class EvalSection:
    """Held-out prompts, answered during training."""

    data: DataSection | None = None
    """Prompts to answer; none, no evaluation."""
    every: int = 10
    """Steps between evaluations; one is made before the first step and one after the last."""
    samples: int = 1
    """Responses of each prompt; more than one gives pass@k."""
    temperature: float = 0.0
    """Sampling temperature of an evaluation."""
    limit: int | None = 256
    """Most prompts of one evaluation."""
    solved: str | None = None
    """The reward whose value of at least 1 means solved; by default the first one."""


@dataclass(kw_only=True)
class TaskSection:
    """One of the tasks that a run trains together: its prompts, how it is sampled, and what it earns."""

    weight: float = 1.0
    """Share of the prompts of a step, relative to the other tasks."""
    data: DataSection = field(default_factory=DataSection)
    """Training prompts; `data.task` says what they ask for."""
    eval: DataSection | None = None
    """Prompts for the evaluation; none, no evaluation of this task."""
    rollout: SamplingSection = field(default_factory=SamplingSection)
    """Sampling."""
    rewards: dict[str, RewardEntry] = field(default_factory=dict)
    """What a response earns, by name."""
    solved: str | None = None
    """The reward whose value of at least 1 means solved; by default the first one."""


@dataclass(kw_only=True)
class MixSection:
    """One of the data sets that a stream draws from."""

    weight: float = 1.0
    """Share of the samples, relative to the other data sets."""
    data: DataSection = field(default_factory=DataSection)
    """Prompts with responses, or with images to draw."""


@dataclass(kw_only=True)
class StreamSection:
    """One of the kinds of example that supervised fine-tuning mixes."""

    data: DataSection = field(default_factory=DataSection)
    """Prompts with responses, or with images to draw; `data.task` says which."""
    mix: dict[str, MixSection] = field(default_factory=dict)
    """Several data sets of one task by name, instead of `data`: each sample is drawn from one of them, by weight. They
    are streamed."""
    held_out: DataSection | None = None
    """Rows for a validation loss."""
    batch_size: int = 16
    """Examples of one batch; an optimiser step has `sft.accumulation` of them."""
    coefficient: float = 1.0
    """Factor of its loss in the sum."""
    one_of: str | None = None
    """Name of a choice: of the streams that share it each batch has one, drawn by `weight`; by default it has each."""
    weight: float = 1.0
    """Chance to be drawn, relative to the other streams of `one_of`."""
    max_length: int | None = None
    """Most tokens of prompt and response of this stream; by default `sft.max_length`."""
    pad_to: int | None = None
    """Tokens a response (of `think_image` the thought) is filled up to with end-of-sequence, which are trained; by
    default the longest of the batch. For `think_image` sample with the same `rollout.gen_length`."""


@dataclass(kw_only=True)
class StandInSection:
    """Data that takes the place of that of streams, to try a config out; their coefficients and choices stay."""

    data: DataSection = field(default_factory=DataSection)
    """Rows that are quick to have, such as generated ones."""
    batch_size: int = 8
    """Examples of a batch."""
    max_length: int | None = None
    """As in the stream."""
    pad_to: int | None = None
    """As in the stream."""


@dataclass(kw_only=True)
class SFTSection:
    """Supervised fine-tuning with the masked-diffusion loss."""

    batch_size: int = 64
    """Examples of one batch; an optimiser step has `accumulation` of them."""
    micro_batch: int = 64
    """Examples of one forward and backward; changes memory, never the gradient."""
    accumulation: int = 1
    """Batches of which one optimiser step is the mean, so that it learns from this many times the batch sizes."""
    max_length: int = 1024
    """Most tokens of prompt and response, those of an image not counted; a longer response is cut."""
    pad_to: int | None = None
    """Tokens a response is filled up to with end-of-sequence, which are trained, so that ending is learned; by default
    the longest response of the batch."""
    low_discrepancy: bool = True
    """Spread the mask ratios of a batch evenly over (0, 1): same mean, less variance."""
    eps: float = 1e-3
    """Smallest mask probability: p = (1 - eps) t + eps."""
    workers: int = 2
    """Processes that read streamed data, for all streams together; 0 reads in the training process. Which sample comes
    when does not depend on it."""
    condition_dropout: float = 0.1
    """Share of the drawings whose prompt is left out, so that guidance has something to compare with."""
    image_ends: bool = False
    """Average the two ends of a drawing, which are never masked, into its loss, as MMaDA's released trainer does."""
    ema: float = 0.0
    """Decay of a running mean of the weights for each optimiser step, such as 0.9999; it is measured beside the weights
    and written to `model-ema`. 0 keeps none."""


@dataclass(kw_only=True)
class TrainConfig:
    """`unigrpo train`: UniGRPO from a supervised policy."""

    output: str = "runs/train"
    """Folder of the run."""
    steps: int = 100
    """Steps of sample, score, learn."""
    seed: int = 0
    """Everything random derives from this."""
    resume: bool = False
    """Go on from the newest checkpoint in `output`; start from the beginning when there is none."""
    overwrite: bool = False
    """Replace a run that is already in `output`."""
    model: ModelSection = field(default_factory=ModelSection)
    """The policy, and the reference it is held to."""
    data: DataSection = field(default_factory=DataSection)
    """Training prompts."""
    rollout: RolloutSection = field(default_factory=RolloutSection)
    """Sampling."""
    rewards: dict[str, RewardEntry] = field(default_factory=dict)
    """What a response earns, by name; `rewards.NAME.weight=0.1` adds one."""
    tasks: dict[str, TaskSection] = field(default_factory=dict)
    """Several tasks in one run, by name, each with its own data, sampling and rewards, instead of those above."""
    scoring: ScoringSection = field(default_factory=ScoringSection)
    """Rewards that fail."""
    algo: AlgoSection = field(default_factory=AlgoSection)
    """Objective and likelihood."""
    optim: OptimSection = field(default_factory=OptimSection)
    """Optimiser."""
    eval: EvalSection = field(default_factory=EvalSection)
    """Evaluation on held-out prompts."""
    checkpoint: CheckpointSection = field(default_factory=CheckpointSection)
    """Checkpoints."""
    tracking: TrackingSection = field(default_factory=TrackingSection)
    """Metrics."""
    cluster: ClusterSection = field(default_factory=ClusterSection)
    """Workers."""


@dataclass(kw_only=True)
class SFTConfig:
    """`unigrpo sft`: supervised fine-tuning, the stage before UniGRPO."""

    output: str = "runs/sft"
    """Folder of the run; the model is written to its `model` folder."""
    steps: int = 1000
    """Optimiser steps."""
    seed: int = 0
    """Everything random derives from this."""
    resume: bool = False
    """Go on from the newest checkpoint in `output`; start from the beginning when there is none."""
    overwrite: bool = False
    """Replace a run that is already in `output`."""
    model: ModelSection = field(default_factory=ModelSection)
    """The model to start from."""
    data: DataSection = field(default_factory=DataSection)
    """Prompts with responses."""
    held_out: DataSection | None = None
    """Rows for a validation loss."""
    held_out_every: int = 100
    """Steps between validation losses."""
    stop_below: float | None = None
    """Stop early, once the validation loss is below this."""
    streams: dict[str, StreamSection] = field(default_factory=dict)
    """Several kinds of example in one run, by name, instead of `data` and `held_out`."""
    stand_ins: dict[str, StandInSection] = field(default_factory=dict)
    """Other data for all streams of a task, by the task, to try a config out at a small size."""
    sft: SFTSection = field(default_factory=SFTSection)
    """Loss and batches."""
    optim: OptimSection = field(default_factory=lambda: OptimSection(lr=5e-5, weight_decay=0.01, schedule="cosine"))
    """Optimiser."""
    checkpoint: CheckpointSection = field(default_factory=lambda: CheckpointSection(every=500))
    """Checkpoints."""
    tracking: TrackingSection = field(default_factory=TrackingSection)
    """Metrics."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads; supervised fine-tuning runs in one process."""


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


@dataclass(kw_only=True)
class EvalConfig:
    """`unigrpo eval`: accuracy and pass@k of a model on prompts with answers."""

    output: str = "runs/eval"
    """Folder for samples.jsonl, metrics.json and table.md."""
    seed: int = 0
    """Seed of the sampler."""
    overwrite: bool = False
    """Replace an evaluation that is already in `output`."""
    samples: int = 1
    """Responses of each prompt; pass@k is given for k = 1, 2, 4, ... up to it."""
    limit: int | None = None
    """Most prompts."""
    solved: str | None = None
    """The reward whose value of at least 1 means solved; by default the first one."""
    model: ModelSection = field(default_factory=ModelSection)
    """The model."""
    data: DataSection = field(default_factory=_held_out)
    """Prompts."""
    rollout: SamplingSection = field(default_factory=_greedy)
    """Sampling."""
    rewards: dict[str, RewardEntry] = field(default_factory=dict)
    """What a response earns; by default `math`."""
    tasks: dict[str, EvalTaskSection] = field(default_factory=dict)
    """Several tasks by name, each with its own prompts, sampling and rewards, instead of those above."""
    max_failed: float = 0.1
    """Share of the responses that may be left without a reward, because one of them failed; more is an error."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads."""


@dataclass(kw_only=True)
class GenerateConfig:
    """`unigrpo generate`: answers to prompts, in the terminal, and drawings, as files."""

    prompt: str | None = None
    """What to ask; by default lines are read from standard input."""
    task: Literal["text", "understand", "image", "think_image"] = "text"
    """What the prompt asks for, as in the data section."""
    of: str | None = None
    """After the folder of a run of several tasks: the name of the one to ask and sample like; by default the first of
    this `task`, or the first of all."""
    image: str | None = None
    """A picture: what `understand` asks about, or what a drawing keeps outside `mask`."""
    mask: str | None = None
    """What of `image` is drawn anew: a box `x0,y0,x1,y1` in pixels of the square that the image is fitted to, x1 and y1
    outside it, or a picture as large as the image, white there. Codes that it touches are drawn whole."""
    fit: Literal["crop", "squash", "pad"] = "crop"
    """How `image` becomes square, as in the data section."""
    picture: str | None = None
    """Where drawings go: a .png file, or a folder; by default drawing.png. A name that is taken gets a number."""
    seed: int = 0
    """Seed of the sampler."""
    samples: int = 1
    """Answers to each prompt."""
    show_steps: bool = False
    """Replay the denoising, step by step; that of a drawing is written beside it, as one picture."""
    model: ModelSection = field(default_factory=ModelSection)
    """The model."""
    template: Literal["chat", "plain"] = "chat"
    """As in the data section."""
    instruction: str = ""
    """Text put in front of the prompt; `think` stands for MMaDA's thinking instruction of the task."""
    legacy_eot: bool = False
    """As in the data section."""
    max_prompt_length: int = 512
    """Most tokens a prompt may have; those of an image are not counted."""
    rollout: SamplingSection = field(default_factory=SamplingSection)
    """Sampling."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads."""
