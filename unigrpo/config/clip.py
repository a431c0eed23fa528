"""What `unigrpo clip` is configured by."""

from dataclasses import dataclass, field

from unigrpo.config.sections import ClusterSection, DataSection, OptimSection


@dataclass(kw_only=True)
class ClipConfig:
    """`unigrpo clip`: a small CLIP trained on images with captions, to be the reward of drawings like them."""

    output: str = "runs/clip"
    """Folder of the run; the model is written to its `model` folder, which `rewards.clip.args.model` takes."""
    steps: int = 500
    """Optimiser steps."""
    seed: int = 0
    """Everything random derives from this."""
    overwrite: bool = False
    """Replace a run that is already in `output`."""
    network: str = "configs/quickstart/clip.json"
    """JSON file with an architecture as open_clip writes it: `embed_dim`, `vision_cfg` and `text_cfg`."""
    data: DataSection = field(default_factory=lambda: DataSection(task="image"))
    """Images with their captions, as rows to draw."""
    held_out: DataSection | None = None
    """Rows by which the model is judged in the end: how often an image is nearest to its own caption."""
    batch_size: int = 128
    """Pairs of one optimiser step, all of different captions; fewer where the data has fewer captions."""
    shrink: float = 0.5
    """Images are scaled down to between this share of their size and all of it, and up again, so that the blur of an
    image tokenizer does not matter; 1 leaves them sharp."""
    noise: float = 0.05
    """Images get noise of a deviation up to this, on pixels between 0 and 1; 0 for none."""
    optim: OptimSection = field(
        default_factory=lambda: OptimSection(lr=1e-3, weight_decay=0.05, warmup_steps=20, schedule="cosine")
    )
    """Optimiser."""
    device: str = "auto"
    """Torch device; `auto` takes cuda, then mps, then cpu."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads; this runs in one process."""


def captions_are_of_images(it: ClipConfig) -> str | None:
    """Its rows are images with captions, as a drawing needs them."""
    for key, section in _sections(it):
        if section.task != "image":
            return f"{key}.task is {section.task}, but CLIP learns from images with captions: set {key}.task=image."
    return None


def prompts_are_not_made(it: ClipConfig) -> str | None:
    """Settings that make a prompt of a caption are not set."""
    default = DataSection()
    for key, section in _sections(it):
        for name in ("instruction", "max_prompt_length", "too_long", "shuffle"):
            if getattr(section, name) != getattr(default, name):
                return f"{key}.{name} is {getattr(section, name)}, but no prompts are made of captions: drop it."
    return None


def _sections(it: ClipConfig) -> list[tuple[str, DataSection]]:
    return [("data", it.data), *([("held_out", it.held_out)] if it.held_out else [])]
