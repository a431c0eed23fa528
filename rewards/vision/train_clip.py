"""Training a small CLIP on images with captions, in open_clip's format.

N images, B pairs of a batch, C different captions, H W pixels.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import interpolate

from rewards.vision.open_clip_towers import CONFIG
from rewards.vision.preprocess import Preprocess
from rewards.vision.towers import Towers
from unigrpo.config import ClipConfig
from unigrpo.config.files import find_config
from unigrpo.engine import Engine
from unigrpo.errors import ConfigError, DataError
from unigrpo.types import Metrics

WEIGHTS = "open_clip_model.safetensors"
SHARPEST = math.log(100)
"""Most that the logit scale may reach. Source: CLIP (arXiv:2103.00020), section 2.5."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images at the size of the tower, with their captions."""

    images_N3HW: Tensor
    captions: list[str]


class CaptionBatches:
    """Batches in which no caption occurs twice: an image's own caption would else count as wrong for another image.

    An epoch visits every caption once, with one of its images each.
    """

    def __init__(self, captions: Sequence[str], size: int, seed: int) -> None:
        self.images: dict[str, list[int]] = {}
        for index, caption in enumerate(captions):
            self.images.setdefault(caption, []).append(index)
        if len(self.images) < 2:
            raise DataError("All captions are equal, so that there is nothing to tell apart: give more rows.")
        self.captions = list(self.images)
        self.size, self.seed = min(size, len(self.captions)), seed

    def batch(self, step: int) -> list[int]:
        """Return the images of a step; what they are depends on the seed and the step alone."""
        epoch, at = divmod(step, len(self.captions) // self.size)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.captions))
        draw = np.random.default_rng([self.seed, 1, step])
        chosen = order[at * self.size : (at + 1) * self.size]
        return [int(draw.choice(self.images[self.captions[index]])) for index in chosen]


def make_network(path: str, seed: int, device: torch.device) -> open_clip.CLIP:
    """Return the network that a JSON file describes, with weights drawn from a seed.

    Raises:
        ConfigError: the file is missing, or describes no CLIP.
    """
    file = find_config(path)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = open_clip.CLIP(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AssertionError) as error:
        raise ConfigError(f"network={path} describes no CLIP of open_clip: {type(error).__name__}: {error}.") from None
    size: Any = network.visual.image_size
    open_clip.set_model_preprocess_cfg(network, asdict(PreprocessCfg(size=size)))
    return network.to(device)


def preprocess_of(network: open_clip.CLIP) -> Preprocess:
    """Return how a network wants its images."""
    return Preprocess.of(open_clip.get_model_preprocess_cfg(network))


def train(
    network: open_clip.CLIP,
    pairs: Pairs,
    batches: CaptionBatches,
    config: ClipConfig,
    log: Callable[[int, Metrics], None],
) -> None:
    """Train for `config.steps` with the symmetric contrastive loss.

    Args:
        log: told the number of steps made and their metrics.

    Source: CLIP (arXiv:2103.00020), figure 3.
    """
    device = network.logit_scale.device
    preprocess = preprocess_of(network)
    engine = Engine(network.train(), config.optim, config.steps)
    tokenize = open_clip.SimpleTokenizer(context_length=network.context_length)
    loss_of = open_clip.ClipLoss()

    def backward(step: int) -> Metrics:
        indices = batches.batch(step)
        noise = torch.Generator().manual_seed(int(np.random.default_rng([config.seed, 2, step]).integers(2**62)))
        pixels = worsened(pairs.images_N3HW[indices].float() / 255, config.shrink, config.noise, noise)
        tokens = tokenize([pairs.captions[index] for index in indices])
        loss = loss_of(*network(preprocess.normalise(pixels).to(device), tokens.to(device)))
        loss.backward()
        return {"loss": float(loss.detach())}

    for step in range(config.steps):
        found = engine.step(lambda step=step: backward(step))
        with torch.no_grad():
            network.logit_scale.clamp_(0, SHARPEST)
        log(step + 1, {"clip/loss": found["loss"], "optim/grad_norm": found["grad_norm"], "optim/lr": found["lr"]})
    network.eval()


def worsened(pixels_B3HW: Tensor, shrink: float, noise: float, generator: torch.Generator) -> Tensor:
    """Return images as a lossy decoder would give them: scaled down and up again, and with noise of random strength."""
    height, width = pixels_B3HW.shape[-2:]
    share = shrink + (1 - shrink) * float(torch.rand(1, generator=generator))
    small = max(1, round(height * share)), max(1, round(width * share))
    if small != (height, width):
        pixels_B3HW = interpolate(pixels_B3HW, small, mode="bilinear", antialias=True)
        pixels_B3HW = interpolate(pixels_B3HW, (height, width), mode="bilinear")
    strength_B = noise * torch.rand(len(pixels_B3HW), 1, 1, 1, generator=generator)
    return (pixels_B3HW + strength_B * torch.randn(pixels_B3HW.shape, generator=generator)).clamp(0, 1)


def save(network: open_clip.CLIP, path: str, folder: Path) -> None:
    """Write a folder that open_clip loads as `local-dir:`, and the reward `clip` as its model.

    Args:
        path: the JSON file the network was made from.
    """
    described = {
        "model_cfg": json.loads(find_config(path).read_text(encoding="utf-8")),
        "preprocess_cfg": open_clip.get_model_preprocess_cfg(network),
    }
    (folder / CONFIG).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    save_file({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)


def retrieval(towers: Towers, images: Sequence[np.ndarray], captions: Sequence[str]) -> Metrics:
    """Measure how well a CLIP tells captions apart.

    Returns:
        `clip/accuracy`: share of the images that are nearest to their own caption, among all different ones;
        `clip/chance`: the same for guesses; `clip/matched` and `clip/unmatched`: mean cosine of an image with its own
        caption and with the others.
    """
    different = list(dict.fromkeys(captions))
    own_N = torch.tensor([different.index(caption) for caption in captions])
    cosines_NC = towers.images(images) @ towers.texts(different).T
    matched_N = cosines_NC.gather(1, own_N[:, None])[:, 0]
    others = cosines_NC.sum() - matched_N.sum()
    return {
        "clip/accuracy": float((cosines_NC.argmax(1) == own_N).float().mean()),
        "clip/chance": 1 / len(different),
        "clip/matched": float(matched_N.mean()),
        "clip/unmatched": float(others / max(1, len(captions) * (len(different) - 1))),
    }
