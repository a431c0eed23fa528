"""The models of a demo, and how each task is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from unigrpo.asking import section_of
from unigrpo.config import GenerateConfig
from unigrpo.data.sight import check_images
from unigrpo.device import resolve_device
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy, load_policy
from unigrpo.types import Task

Asks = Mapping[Task, GenerateConfig]


@dataclass(frozen=True, eq=False)
class DemoModel:
    """A model that is shown."""

    name: str
    policy: Policy
    images: ImageTokenizer | None
    asks: Asks
    """How each task is asked of it, and the sampling that is proposed."""
    blind: str | None
    """Why it neither sees nor draws, if so."""


def load_model(name: str, asks: Asks) -> DemoModel:
    """Loads a model, with its image tokenizer if it has one.

    Raises:
        ConfigError: the image tokenizer is none for this model.
        CheckpointError: a folder cannot be used.
    """
    policy = load_policy(asks["text"].model)
    blind = _blind(name, policy, asks)
    images = None
    if blind is None:
        model = asks["image"].model
        images = ImageTokenizer.load(model.image_tokenizer, resolve_device(model.device))
        check_images(section_of(asks["image"]), policy.ids, images)
    return DemoModel(name, policy, images, asks, blind)


def _blind(name: str, policy: Policy, asks: Asks) -> str | None:
    section = asks["image"].model.image_tokenizer
    if policy.ids.image_offset is None:
        return f"{name} has no codes of images: it is a model of text."
    if section.path is None and section.preset is None:
        return f"{name} has no image tokenizer: start the demo with model.image_tokenizer.path=FOLDER."
    return None
