"""What `unigrpo sft` is configured by."""

from dataclasses import dataclass, field

from unigrpo.config.sections import (
    CheckpointSection,
    ClusterSection,
    DataSection,
    ModelSection,
    OptimSection,
    TrackingSection,
)


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
    """Workers: this process alone, or the ranks of `backend=ray`, which learn together."""
