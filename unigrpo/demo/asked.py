"""What somebody has asked on the page, as jobs for the models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rollout.jobs import Watch
from rollout.sampler import Sampler
from unigrpo.asking import Asker, Sight, see
from unigrpo.config import GenerateConfig, ImageSamplingSection, ImageTokenizerSection, SamplingSection
from unigrpo.config.check import check_generate
from unigrpo.data.images import WHITE, fit_image, read_image
from unigrpo.data.inpainting import boxed
from unigrpo.demo.models import DemoModel
from unigrpo.demo.settings import section_from
from unigrpo.demo.watch import Job
from unigrpo.errors import DataError
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.types import Rollout, Task

STEP = "demo"
"""With the seed, what all chance on the page derives from."""
MOST_STEPS = 1000
SHOWN = 512
"""Least width of a picture that is painted on, in pixels."""


@dataclass(frozen=True)
class Kind:
    """One tab: what is asked there."""

    title: str
    task: Task
    thinking: Task
    """The task when the model is to think first; the same one if an instruction says so."""
    invitation: str
    paints: bool = False
    """A part of a picture is drawn anew."""

    @property
    def draws(self) -> bool:
        """Whether the answer is a picture."""
        return self.task == "image"

    @property
    def looks(self) -> bool:
        """Whether the question is about a picture."""
        return self.task == "understand"


KINDS = (
    Kind("Text", "text", "text", "Ask something"),
    Kind("Understand", "understand", "understand", "Ask about the picture"),
    Kind("Draw", "image", "think_image", "Describe a picture"),
    Kind("In-paint", "image", "think_image", "Describe the whole picture", paints=True),
)


def job_of(model: DemoModel, kind: Kind, given: Mapping[str, Any]) -> Job:
    """Makes the job of one model.

    Args:
        given: what the page holds: `prompt`, `think`, `seed`, and where the kind has them `picture`, `canvas`, `box`,
            and the sampler's settings as `text.NAME` and `image.NAME`.

    Raises:
        ConfigError: a setting cannot be used.
        DataError: something is missing, or does not fit.
    """
    config = config_of(model, kind, given)
    text = given["prompt"] or ""
    if not text.strip():
        raise DataError("The prompt is empty: write what you want.")
    asker = Asker(config, model.policy, model.images, _sight(model, kind, config, given))
    prompt = asker.prompt(text, STEP)
    _check_size(model, config, len(prompt.tokens))

    def sample(watch: Watch) -> Rollout:
        sampler = Sampler(model.policy, config.rollout, config.seed, model.images, watch)
        return sampler.sample([prompt], 1, STEP)[0]

    return sample


def _check_size(model: DemoModel, config: GenerateConfig, asked: int) -> None:
    """Refuses what would keep the page busy for ever."""
    tokens = asked + config.rollout.gen_length * (config.task != "image")
    room = model.policy.model.config.max_sequence_length
    if tokens > room:
        raise DataError(f"Prompt and answer have {tokens} tokens, but {model.name} knows {room}: ask for less.")
    if config.rollout.image.steps > MOST_STEPS:
        raise DataError(f"A drawing has at most {MOST_STEPS} steps here: ask for less.")


def config_of(model: DemoModel, kind: Kind, given: Mapping[str, Any]) -> GenerateConfig:
    """The settings of `unigrpo generate` that a page describes.

    Raises:
        ConfigError: one of them cannot be used.
    """
    task = kind.thinking if given["think"] else kind.task
    asks = model.asks[task]
    config = replace(asks, seed=_seed(given["seed"]), rollout=_sampling(asks.rollout, task, given))
    if not kind.draws:
        config = replace(config, instruction=instruction(asks, bool(given["think"])))
    if kind.looks or kind.paints:
        # The picture is there already; for the rules it is named.
        config = replace(config, image="picture", mask="mask" if kind.paints else None)
    config = _without_what_others_use(config)
    check_generate(config)
    return config


def _without_what_others_use(config: GenerateConfig) -> GenerateConfig:
    """The settings that this task reads: the command line sets those of all tabs at once."""
    model = config.model
    if config.task == "text":
        model = replace(model, image_tokenizer=ImageTokenizerSection())
    if config.task != "image":
        model = replace(model, legacy_visible_pads=False)
    else:
        thinks = config.instruction == "think"
        config = replace(config, template="chat", legacy_eot=False, instruction="" if thinks else config.instruction)
    return replace(config, model=model, fit=config.fit if config.image else "crop")


def instruction(asks: GenerateConfig, think: bool) -> str:
    """What stands in front of a prompt: MMaDA's instruction to think, or the run's own."""
    if think:
        return "think"
    return "" if asks.instruction == "think" else asks.instruction


def _seed(value: Any) -> int:
    if value is None or value < 0:
        raise DataError("The seed is empty or below 0: write a whole number, such as 0.")
    return int(value)


def _sampling(proposed: SamplingSection, task: Task, given: Mapping[str, Any]) -> SamplingSection:
    """The sampling of a task; nothing is measured, as nobody would read it."""
    image = ImageSamplingSection()
    if task in ("image", "think_image"):
        image = _unmeasured(section_from(ImageSamplingSection, given, "image.", proposed.image))
    if task == "image":
        return SamplingSection(image=image)
    text = _unmeasured(section_from(SamplingSection, given, "text.", proposed))
    return replace(text, image=image, guidance=0.0 if task == "think_image" else text.guidance)


def _unmeasured(section: Any) -> Any:
    default = type(section)().cache_check
    return replace(section, cache_check=0.0 if section.cache != "none" else default)


def _sight(model: DemoModel, kind: Kind, config: GenerateConfig, given: Mapping[str, Any]) -> Sight | None:
    if not (kind.looks or kind.paints):
        return None
    assert model.images is not None
    if given["picture"] is None:
        raise DataError("There is no picture: drop one into its field, or take an example.")
    if isinstance(given["picture"], DataError):
        raise given["picture"]
    if kind.looks:
        return see(read_image(Path(given["picture"]).read_bytes(), "picture"), model.images, config.fit)
    resolution = model.images.resolution
    masked_RR = painted(given["canvas"], resolution)
    if box := (given["box"] or "").strip():
        marked = boxed(box, resolution)
        if marked is None:
            raise DataError(f"The box is {box!r}: write x0,y0,x1,y1 in pixels from 0 to {resolution}.")
        masked_RR |= marked
    if not masked_RR.any():
        raise DataError("Nothing is marked: paint over what is to be drawn anew, or write a box.")
    return see(given["picture"], model.images, config.fit, masked_RR)


def painted(canvas: Mapping[str, Any] | None, resolution: int) -> np.ndarray:
    """The pixels of the fitted picture, [R, R] bool, that a brush has touched."""
    masked_RR = np.zeros((resolution, resolution), dtype=bool)
    for layer in (canvas or {}).get("layers", []):
        rows, columns = np.nonzero(layer[..., 3])
        masked_RR[rows * resolution // layer.shape[0], columns * resolution // layer.shape[1]] = True
    return masked_RR


def on_white(layer_HW4: np.ndarray) -> np.ndarray:
    """What is seen of a picture, [H, W, 3] uint8, on the white that files are read with where they are transparent."""
    layer = Image.fromarray(layer_HW4).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", layer.size, (*WHITE, 255)), layer).convert("RGB"))


def fitted(picture: np.ndarray | Path, images: ImageTokenizer, config: GenerateConfig) -> tuple[np.ndarray, np.ndarray]:
    """A picture as the model sees it, and the same large enough to paint on."""
    seen = fit_image(read_image(picture, "picture"), images.resolution, config.fit)
    times = -(-SHOWN // images.resolution)
    return seen, seen.repeat(times, 0).repeat(times, 1)
