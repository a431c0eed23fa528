"""Sections shared by the verbs. Each field is explained once, by the string below it, for help and docs."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.samples import JoinSection, SampleFilterSection, ShotsSection

DRAWING: tuple[Literal["image"], Literal["think_image"]] = ("image", "think_image")
"""The tasks whose response holds an image."""


@dataclass(kw_only=True)
class LoraSection:
    """Low-rank adapters (peft). With them the reference policy is the base with adapters off and costs no memory."""

    rank: int = 0
    """Rank of the adapters; 0 trains all weights."""
    alpha: float = 32.0
    """Scale of the adapters, divided by the rank."""
    targets: list[str] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "attn_out", "ff_proj", "up_proj", "blocks.*ff_out"]
    )
    """Linear layers that get an adapter, by the end of their published name."""


@dataclass(kw_only=True)
class ImageTokenizerSection:
    """The image tokenizer: MAGVIT-v2, frozen. Only tasks with images need it."""

    path: str | None = None
    """Folder of its weights: one made by `unigrpo tokenizer`, or a published `showlab/magvitv2`."""
    preset: Literal["tiny"] | None = None
    """An untrained network of 64 codes, 4 pixels wide each, to try a config out; used when `path` is not set."""
    resolution: int = 256
    """Height and width of an image in pixels; with the published network 256 gives 256 tokens and 512 gives 1024."""
    batch_size: int = 16
    """Most images encoded or decoded at one time."""


@dataclass(kw_only=True)
class ModelSection:
    """The policy: a published checkpoint folder, or a small model made from scratch."""

    path: str | None = None
    """Folder of a LLaDA or MMaDA checkpoint (config.json, safetensors, tokenizer), or a run's `model` folder."""
    preset: Literal["tiny", "small"] | None = None
    """Size of a model made from scratch, with a tokenizer trained on the run's data; used when `path` is not set."""
    vocab_size: int = 512
    """Most entries of the tokenizer that is trained for a preset, special tokens included."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights."""
    device: str = "auto"
    """Torch device; `auto` takes cuda, then mps, then cpu."""
    gradient_checkpointing: bool = False
    """Recompute each block's activations in the backward pass: less memory, one more forward."""
    lora: LoraSection = field(default_factory=LoraSection)
    """Low-rank adapters instead of full training."""
    image_tokenizer: ImageTokenizerSection = field(default_factory=ImageTokenizerSection)
    """What turns images into tokens and back."""
    legacy_visible_pads: bool = False
    """Let every token see the left pads of a drawing prompt, as MMaDA's first releases were trained."""


@dataclass(kw_only=True)
class DataSection:
    """Where prompts come from and how a row becomes one."""

    task: Literal["text", "understand", "image", "think_image"] = "text"
    """What a prompt asks for: an answer to a text, an answer about an image, a drawing, or a thought and then a
    drawing."""
    source: Literal["file", "hub", "gsm8k", "arithmetic", "countdown", "shapes", "digits"] = "file"
    """`file` reads `path`; `hub` reads a data set of the Hugging Face hub; `gsm8k` reads an official GSM8K JSONL file;
    `shapes` draws small scenes and `digits` takes scikit-learn's handwritten digits; these and the others make their
    rows from `seed`."""
    path: str | None = None
    """A .jsonl, .json, .csv, .tsv or .parquet file, a webdataset (.tar, .tar.gz), or a folder saved by `datasets`.
    Files may be several, as `{00000..00199}`, `{a,b}`, `*` or `**`, and behind http://, s3:// or gs://. `hub`: the data
    set's name."""
    subset: str | None = None
    """`hub`: the data set's configuration, if it has several."""
    layout: str = "rows"
    """How a row becomes prompt, response, answer and image. `rows` has them as columns; `caption` draws or describes a
    captioned image; `text` is text alone; `messages` (role, content), `sharegpt` (from, value) and `llava` (with
    `<image>`) are conversations; `choices` is multiple choice, as MMLU and ARC write it; `alpaca`, `geoqa`, `clevr`,
    `cogent`, `gsm8k`, `countdown` and `sudoku` (both as d1 has them), `pope`, `mme`, `vqav2`, `gqa` and `mmmu` are
    those data sets, and `vlmevalkit` is its .tsv files."""
    turns: Literal["last", "each", "random"] = "last"
    """Conversations: which answers are learned, each with all that was said before: the `last`, `each` as a sample of
    its own, or one at `random` that a hash of the row's name chooses."""
    join: JoinSection | None = None
    """Columns from a second file."""
    columns: dict[str, str] = field(default_factory=dict)
    """Which column of the file holds each of `prompt`, `answer`, `response`, `image`, `id`; by default the column of
    that name. With `a;b` the first that a row has."""
    image_root: str | None = None
    """Folder that the image paths of a file start from; by default the file's own."""
    fit: Literal["crop", "squash", "pad"] = "crop"
    """How an image becomes square: `crop` its centre, `squash` it, or `pad` it with white."""
    codes: str | None = None
    """Folder of codes made by `unigrpo tokenize-images`, in place of encoding the same images again."""
    split: Literal["train", "test", "validation"] = "train"
    """Generated sources: `train`, or the held-out rows of `test`, which are disjoint from it; of a hub's data set or a
    folder of several: which one."""
    size: int = 800
    """Generated sources: how many rows."""
    digits: int = 2
    """`arithmetic`: digits of each operand."""
    operands: int = 3
    """`countdown`: how many numbers are given."""
    kinds: list[str] = field(default_factory=list)
    """`shapes`: the kinds of scene or question, such as `single`, `count` or `position`; by default all of the
    task's."""
    riddle: bool = False
    """`shapes`, to draw: the prompt is a riddle, as `think_image` always has it, but is drawn without a thought."""
    template: Literal["chat", "plain"] = "chat"
    """`chat` wraps the prompt in MMaDA's chat turns; `plain` puts only the beginning-of-sequence id in front."""
    instruction: str = ""
    """Text put in front of every prompt; `think` stands for MMaDA's thinking instruction of the task."""
    wording: str = ""
    """How a row is asked: text with `{prompt}` and any other `{COLUMN}`; numbers of a list stand between commas, its
    texts on lettered lines. By default the prompt alone. The instruction stands in front of it."""
    shots: ShotsSection | None = None
    """Solved rows in front of every prompt of rollouts and evaluations."""
    delimiter: str = ""
    """What stands between a prompt and a response that is given: of a solved row with the template `plain`, and of a
    choice that is scored."""
    legacy_eot: bool = False
    """Write the end of a turn as the text `<eot_id>`, as the caption and reasoning data of MMaDA's first releases."""
    max_prompt_length: int = 512
    """Most tokens a prompt may have; those of an image are not counted."""
    too_long: Literal["error", "drop"] = "error"
    """What a prompt over the limit does: stop the run before it starts, or be left out and counted."""
    filter: SampleFilterSection = field(default_factory=SampleFilterSection)
    """Samples of supervised fine-tuning that are left out."""
    max_broken: float = 0.0
    """Share of the rows that may be broken; they are left out, counted and named. One more stops the run."""
    streaming: bool | None = None
    """Supervised fine-tuning: read the data while it is used, instead of holding it in memory; by default for tar
    files, patterns of files, addresses and the hub, unless there is a `limit`."""
    buffer: int = 1024
    """Streaming: samples that are in memory and shuffled together, in whole batches."""
    limit: int | None = None
    """Use only the first rows, so many."""
    shuffle: bool = True
    """Draw the rows of each epoch in a seeded random order."""
    seed: int = 0
    """Seed of the generator and of the order."""


@dataclass(kw_only=True)
class ImageSamplingSection:
    """How images are drawn: all codes in parallel, the most confident first (MaskGIT)."""

    steps: int = 15
    """Denoising steps of an image."""
    schedule: Literal["cosine", "linear", "pow", "sigmoid"] = "cosine"
    """Share of the codes that is still masked after each step."""
    power: float = 2.0
    """`pow`: exponent."""
    temperature: float = 1.0
    """Sampling temperature of the codes; 0 takes the most likely."""
    guidance: float = 0.0
    """Classifier-free guidance s: logits = u + (s + 1)(c - u), where u has an empty prompt; MMaDA's demo uses 3.5."""
    choice_temperature: float = 1.0
    """Gumbel noise, times this, on the log-confidence that decides which codes stay."""
    choice_schedule: Literal["linear", "compound"] = "linear"
    """How that noise fades: times 1 - r at progress r, or, as in MMaDA's code, by the product of all of them so
    far."""
    cache: Literal["none", "prefix"] = "none"
    """Keys and values that later steps take from the first: `none` is exact; with `prefix` those of all that stands
    before the image. What is drawn is then not quite what the policy would draw."""
    cache_refresh: int | None = None
    """Steps after which all keys and values are made anew; by default they are once, at the start."""
    cache_check: float = 0.05
    """With a cache: share of each image's steps whose log-probabilities are computed exactly too."""


@dataclass(kw_only=True)
class SamplingSection:
    """How responses are drawn from the policy: semi-autoregressive denoising, block by block."""

    gen_length: int = 128
    """Tokens of a response; it starts fully masked."""
    block_length: int = 32
    """Tokens of a block; blocks are denoised from left to right. Must divide `gen_length`."""
    steps: int | None = None
    """Denoising steps of a whole response, a multiple of the number of blocks; by default one token a step."""
    threshold: float | None = None
    """Instead of `steps`: commit every token whose confidence is at least this, and at least one a step."""
    entropy_bound: float | None = None
    """Instead of `steps`, with `confidence: entropy`: commit the most certain tokens whose entropies, without the
    largest, sum to at most so many nats (EB-Sampler), and at least one a step."""
    confidence: Literal["confidence", "margin", "entropy", "random"] = "confidence"
    """What decides which tokens are committed first: p of the token, p1 - p2, negative entropy, or chance."""
    temperature: float = 1.0
    """Sampling temperature of the tokens; 0 is greedy."""
    guidance: float = 0.0
    """Classifier-free guidance s: logits = u + (s + 1)(c - u), where u does not see the prompt."""
    eos_tail: int = 1
    """End-of-sequence tokens after the first that count as part of the response, so that stopping is learned."""
    early_stop: bool = True
    """Stop a response after the block in which it ended."""
    batch_size: int = 256
    """Most responses in one forward pass."""
    cache: Literal["none", "prefix", "dual"] = "none"
    """Keys and values that the steps of a block take from its first: `none` is exact; with `prefix` those of all that
    stands before the block, with `dual` those of all that stands outside of it. What is drawn is then not quite what
    the policy would draw."""
    cache_refresh: int | None = None
    """Steps of a block after which all keys and values are made anew; by default they are once, at its start."""
    cache_check: float = 0.02
    """With a cache: share of each response's steps whose log-probabilities are computed exactly too, for the metrics
    `rollout/cache_*` and `algo.cache_correction`. 1 computes all, at the cost of sampling without a cache."""
    image: ImageSamplingSection = field(default_factory=ImageSamplingSection)
    """Drawing, for the tasks `image` and `think_image`; what stands above is for text."""

    @property
    def adaptive(self) -> bool:
        """Whether the number of tokens that a step commits depends on how certain they are."""
        return self.threshold is not None or self.entropy_bound is not None


@dataclass(kw_only=True)
class RolloutSection(SamplingSection):
    """Sampling in training: groups of rollouts of each prompt."""

    prompts_per_step: int = 32
    """Prompts of one step."""
    group_size: int = 8
    """Rollouts of each prompt, compared with each other."""
    max_cache_error: float = 0.2
    """With a cache: the run stops when the mean distance between exact and sampled log-probability of a token,
    `rollout/cache_error`, is above this in a step in which at least 50 tokens were checked. One for all tasks."""
    max_staleness: int = 0
    """Batches by which the weights that sample are behind those that learn. With 1 or more the next batches are sampled
    while this one is learned, and the ratios are to the policy that sampled; 0 is on-policy. A run that is resumed
    samples its first batches anew, with the weights of the checkpoint."""


@dataclass(kw_only=True)
class OptimSection:
    """AdamW and its schedule."""

    lr: float = 1e-6
    """Peak learning rate."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    """Decay of the two moments."""
    eps: float = 1e-8
    """Added to the root of the second moment."""
    weight_decay: float = 0.0
    """Decoupled weight decay of matrices; norms, biases and embeddings are never decayed."""
    warmup_steps: int = 0
    """Optimiser steps of linear warm-up."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Decay after the warm-up, to `min_lr_ratio` at the last step."""
    min_lr_ratio: float = 0.0
    """Final learning rate as a share of the peak."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    max_skipped: int = 3
    """Optimiser steps in a row that are left out because loss or gradient is not finite; one more stops the run."""
    bfloat16: Literal["copied", "rounded"] = "copied"
    """Full training of bfloat16 weights, in which small updates would be rounded away: `copied` updates a float32 copy
    of each weight (4 bytes more), `rounded` rounds what is updated up or down by chance, so that its mean is right."""
    states: Literal["float32", "int8"] = "float32"
    """The two moments of each weight: `int8` keeps them as bytes, in blocks of 256 with a scale each, rounded up or
    down by chance: 2 bytes of a weight instead of 8. For one process."""
    offload: bool = False
    """Keep moments and float32 copies in host memory, and update them there: a GPU then holds weights, gradients and
    activations alone. For one process; several ranks have `cluster.offload`."""


@dataclass(kw_only=True)
class CheckpointSection:
    """What is kept of a run, so that it can go on."""

    every: int = 50
    """Steps between checkpoints; the last step always makes one."""
    keep: int = 2
    """How many checkpoints stay on disk; the best one stays beside them."""
    background: bool = True
    """Write a checkpoint while training goes on, from a copy in host memory; false waits until it is written."""


@dataclass(kw_only=True)
class TrackingSection:
    """Where metrics go, beside metrics.jsonl in the run's folder."""

    to: list[str] = field(default_factory=list)
    """Any of `wandb` (offline when there is no key) and `tensorboard`."""
    project: str = "unigrpo"
    """Project name at wandb."""
    rollouts_every: int = 10
    """Steps between tables of sampled rollouts; 0 for none."""
    rollouts_rows: int = 8
    """Rows of such a table."""
    profile: bool = False
    """Record the third step: `profile` in the run's folder gets a trace for https://ui.perfetto.dev, a table of
    operations, and `step.md`, the step's time by part. Under Ray the third call of each kind of work of each worker."""


@dataclass(kw_only=True)
class ClusterSection:
    """Where the workers run, and how many there are."""

    backend: Literal["ray", "local"] = "ray"
    """`ray` puts policy, reference and rewards in Ray actors; `local` runs all in this process, with the same
    metrics."""
    address: str | None = None
    """A running Ray cluster, HOST:6379 of its head; by default that of RAY_ADDRESS or of the Ray job we run in, or else
    one is started for this run alone: on loopback, with a token of its own."""
    layout: Literal["colocated", "separate"] = "colocated"
    """`colocated`: the policy samples with its own weights, and its reference shares its GPU; `separate`: workers of
    their own sample, on their own GPUs, and are sent the weights after each step."""
    ranks: int = 1
    """Processes that train the policy together, each on its own GPU, with its share of each batch."""
    zero: int = 0
    """Stage of DeepSpeed's ZeRO, what the ranks keep in pieces: 1 the optimiser, 2 the gradients too, 3 the weights of
    policy and reference too."""
    offload: bool = False
    """ZeRO keeps the optimiser in host memory and updates there."""
    rollout_workers: int = 1
    """`separate`: workers that sample."""
    reward_workers: int = 1
    """Processes that score; each gets whole groups."""
    reward_gpus: float = 0.0
    """GPUs of each of these, such as 0.2; rewards with models of their own are faster with one. Colocated scorers share
    the GPUs of the ranks."""
    sleep: bool = False
    """Keep the weights of the reference in host memory while the policy samples and learns: room on a shared GPU."""
    threads: int | None = None
    """Torch threads of each worker; by default one for each core it may use. 1 is best where several workers or runs
    share the cores: threads that wait for each other in turn are slower than one, by far."""
    timeout: float = 300.0
    """Seconds to wait for nodes with enough room, and for a worker to start."""
    watchdog: float = 3600.0
    """Seconds without an answer after which a worker counts as lost; ranks wait for each other at most 600 of them."""
    max_restarts: int = 3
    """How often lost workers are started again: a policy goes on from the last checkpoint, the others at once."""
