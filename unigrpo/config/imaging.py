"""What `unigrpo tokenizer` is configured by."""

from dataclasses import dataclass, field
from typing import Literal

from unigrpo.config.sections import CheckpointSection, ClusterSection, OptimSection, TrackingSection


@dataclass(kw_only=True)
class MagvitSection:
    """The network, MAGVIT-v2. Lists have an entry for each level, that of the pixels first; each level halves the side
    of the next, so that the published five give one code to 16 x 16 pixels."""

    path: str | None = None
    """Folder of a tokenizer to go on from, which has sizes of its own; by default one is made from scratch."""
    bits: int = 13
    """Bits of a code; the codebook has 2 to the power of it."""
    encoder_widths: list[int] = field(default_factory=lambda: [128, 256, 256, 512, 512])
    """Channels of each level of the encoder."""
    decoder_widths: list[int] = field(default_factory=lambda: [128, 128, 256, 256, 512])
    """Channels of each level of the decoder."""
    encoder_blocks: list[int] = field(default_factory=lambda: [4, 3, 4, 3, 4])
    """Residual blocks of each level of the encoder."""
    decoder_blocks: list[int] = field(default_factory=lambda: [4, 4, 3, 4, 3])
    """Residual blocks of each level of the decoder."""
    groups: int = 32
    """Groups of a group norm; must divide every width."""


@dataclass(kw_only=True)
class PicturesSection:
    """Pictures without words. They are held in memory at the resolution: 256 pixels take 0.2 MB each."""

    source: Literal["folder", "file", "shapes", "digits"] = "folder"
    """`folder` takes every picture under `path`; `file` the pictures that a column of a file holds or names; `shapes`
    draws small scenes and `digits` takes scikit-learn's handwritten digits."""
    path: str | None = None
    """The folder; or a .jsonl, .json or .parquet file, or a folder saved by `datasets`."""
    column: str = "image"
    """`file`: the column with the picture or its path."""
    image_root: str | None = None
    """`file`: folder that paths in it start from; by default the file's own."""
    fit: Literal["crop", "squash", "pad"] = "crop"
    """How a picture becomes square: `crop` its centre, `squash` it, or `pad` it with white."""
    split: Literal["train", "test"] = "train"
    """`file` saved by `datasets` and generated sources: `train`, or the held-out rows."""
    size: int = 800
    """Generated sources: how many, half of those to draw and half of those to be asked about."""
    limit: int | None = None
    """Use only the first pictures, so many."""
    seed: int = 0
    """Seed of the generator."""


@dataclass(kw_only=True)
class TokenizerLossSection:
    """Weights of the parts of the loss, on pixels in [-1, 1]."""

    l1: float = 1.0
    """Mean absolute error of the pixels."""
    l2: float = 1.0
    """Mean squared error of the pixels."""
    commitment: float = 0.25
    """Mean squared distance of the latents from the codes they become."""
    entropy: float = 0.06
    """Entropy of the code of one latent, less that of the codes of all: each sure of its code, and all codes used. At
    first without it few codes come into use; later it holds back the pixels."""
    entropy_final: float = 0.0
    """Weight of the entropy that it falls to."""
    entropy_steps: int = 1000
    """Steps in which it falls to it, linearly."""


@dataclass(kw_only=True)
class TokenizerConfig:
    """`unigrpo tokenizer`: an image tokenizer trained on pictures, for a model made from scratch."""

    output: str = "runs/tokenizer"
    """Folder of the run; the tokenizer is written to its `model` folder, which `model.image_tokenizer.path` takes."""
    steps: int = 1000
    """Optimiser steps."""
    seed: int = 0
    """Everything random derives from this."""
    resume: bool = False
    """Go on from the newest checkpoint in `output`; start from the beginning when there is none."""
    overwrite: bool = False
    """Replace a run that is already in `output`."""
    network: MagvitSection = field(default_factory=MagvitSection)
    """The network."""
    resolution: int = 256
    """Height and width of the pictures in pixels, a multiple of a code's."""
    data: PicturesSection = field(default_factory=PicturesSection)
    """Pictures to learn from."""
    held_out: PicturesSection | None = None
    """Other pictures, by which the tokenizer is measured."""
    held_out_every: int = 100
    """Steps between measurements; one is made after the last step."""
    batch_size: int = 32
    """Pictures of one optimiser step."""
    loss: TokenizerLossSection = field(default_factory=TokenizerLossSection)
    """What is learned from."""
    optim: OptimSection = field(
        default_factory=lambda: OptimSection(lr=1e-3, warmup_steps=50, schedule="cosine", max_grad_norm=1.0)
    )
    """Optimiser."""
    device: str = "auto"
    """Torch device; `auto` takes cuda, then mps, then cpu."""
    checkpoint: CheckpointSection = field(default_factory=lambda: CheckpointSection(every=500))
    """Checkpoints."""
    tracking: TrackingSection = field(default_factory=TrackingSection)
    """Metrics."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads; this runs in one process."""


def pictures_have_a_source(it: PicturesSection, p: str) -> str | None:
    """Folders and files need a path and generators have none."""
    if it.source in ("folder", "file"):
        return None if it.path else f"{p}path is not set: {p}source={it.source} reads one, so name it."
    return f"{p}path is {it.path!r}, but {p}source={it.source} draws its pictures: drop it." if it.path else None


def something_is_learned(it: TokenizerConfig) -> str | None:
    """Pixels must count."""
    if it.loss.l1 == it.loss.l2 == 0:
        return "loss.l1 and loss.l2 are both 0, so no picture would be learned: set one above 0."
    return None
