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
class GenerateConfig:
    """`unigrpo generate`: answers to prompts, in the terminal or in a file, and drawings, as files."""

    prompt: str | None = None
    """What to ask; by default lines are read from standard input."""
    file: str | None = None
    """Many prompts: a file as in the data section, with the columns `prompt`, and `image` and `mask` where the task has
    them, or a .txt with one on each line."""
    columns: dict[str, str] = field(default_factory=dict)
    """Which column of `file` holds each of `prompt`, `image`, `id`, as in the data section."""
    output: str | None = None
    """Where the answers to `file` go: a .jsonl with a line for each. What is in it already is not asked again."""
    overwrite: bool = False
    """Begin `output` anew, instead of going on with it."""
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
    """Where drawings go: a .png file, or a folder; by default drawing.png. A name that is taken gets a number. Those of
    `file` go to a folder, by default the one with the name of `output` without its ending."""
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
