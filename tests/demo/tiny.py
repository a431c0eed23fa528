"""Two tiny models that answer, look and draw, before and after another seed, and what a page would hold."""

from pathlib import Path

from tests.images import save_tiny_images
from unigrpo.cli.main import main

SETTINGS = """
    model.preset=tiny model.vocab_size=300 model.device=cpu model.image_tokenizer.resolution=32 cluster.threads=1
    steps=1 sft.micro_batch=2
""".split()  # noqa: SIM905
STREAMS = {
    "sums": "source: arithmetic, template: plain, size: 8",
    "ask": "task: understand, source: shapes, template: plain, size: 8",
    "draw": "task: image, source: shapes, size: 8",
    "think": "task: think_image, source: shapes, template: plain, size: 8",
}
SMALL = ["rollout.gen_length=8", "rollout.block_length=4", "rollout.image.steps=3", "model.device=cpu"]
DEMO = [*SMALL, "port=0", "cluster.threads=1"]
"""Settings of a demo."""


def make(folder: Path, seed: int) -> Path:
    """The folder of a run; its image tokenizer is beside it."""
    if not (folder.parent / "vq").exists():
        save_tiny_images(folder.parent / "vq")
    streams = [f"streams.{name}={{data: {{{data}}}, batch_size: 2}}" for name, data in STREAMS.items()]
    tokenizer = f"model.image_tokenizer.path={folder.parent / 'vq'}"
    assert main(["sft", *SETTINGS, *streams, tokenizer, f"seed={seed}", f"output={folder}"]) == 0
    return folder


def page(prompt="1+1=", **given):
    """What a page holds."""
    return {"prompt": prompt, "think": False, "seed": 0, "picture": None, "canvas": None, "box": ""} | given
