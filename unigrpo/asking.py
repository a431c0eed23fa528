"""Prompts that a user asks by hand: a text, with the picture it comes with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unigrpo.config import DataSection, GenerateConfig
from unigrpo.data.images import Fit, fit_image, read_image
from unigrpo.data.inpainting import boxed, known_codes, whitened
from unigrpo.data.layouts import lay_out, unconditional
from unigrpo.data.prompts import text_part
from unigrpo.data.sight import check_images
from unigrpo.errors import ConfigError, DataError
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy
from unigrpo.types import Prompt


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """The picture of all prompts: fitted, its codes, and for a drawing those that stay."""

    picture: np.ndarray
    codes: np.ndarray
    known: np.ndarray | None = None


def look(config: GenerateConfig, images: ImageTokenizer | None) -> Sight | None:
    """Reads the picture of the settings, and the mask over it; None where there is no picture.

    Raises:
        ConfigError: a file does not exist.
        DataError: a picture cannot be read, or the mask does not suit it.
    """
    if config.image is None or images is None:
        return None
    found, fit = _read(config.image, "image"), config.fit
    if config.mask is None:
        return see(found, images, fit)
    masked = boxed(config.mask, images.resolution)
    if masked is None:
        masked = whitened(_read(config.mask, "mask"), found.shape, images.resolution, fit)
    return see(found, images, fit, masked)


def see(picture: np.ndarray, images: ImageTokenizer, fit: Fit, masked_RR: np.ndarray | None = None) -> Sight:
    """Fits and encodes a picture.

    Args:
        picture: [H, W, 3] uint8.
        masked_RR: what of the fitted picture is to be drawn anew; None where it is only looked at.

    Raises:
        DataError: nothing is masked, or all of it.
    """
    fitted = fit_image(picture, images.resolution, fit)
    [codes] = images.encode([fitted])
    known = None if masked_RR is None else known_codes(codes, masked_RR, images.factor)
    return Sight(picture=fitted, codes=codes, known=known)


def _read(file: str, key: str) -> np.ndarray:
    if not Path(file).is_file():
        other = " or a box x0,y0,x1,y1" if key == "mask" else ""
        raise ConfigError(f"{key} is {file!r}, which is no file: name a picture{other}.")
    return read_image(file, key)


def section_of(config: GenerateConfig) -> DataSection:
    """How a prompt is laid out, as the rows of a data section are."""
    return DataSection(
        task=config.task,
        template=config.template,
        instruction=config.instruction,
        legacy_eot=config.legacy_eot,
        max_prompt_length=config.max_prompt_length,
    )


def is_text(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which is also what a byte that is not UTF-8 becomes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class Asker:
    """Makes prompts of texts, as the settings say."""

    def __init__(self, config: GenerateConfig, policy: Policy, images: ImageTokenizer | None, sight: Sight | None):
        """Raises a ConfigError when the model and the image tokenizer do not belong together."""
        self.policy, self.sight, self.visible_pads = policy, sight, config.model.legacy_visible_pads
        self.section = section_of(config)
        check_images(self.section, policy.ids, images)

    def tokens(self, text: str) -> list[int]:
        """Encodes a text.

        Raises:
            DataError: it has more than `max_prompt_length` tokens, or is no text.
        """
        if not is_text(text):
            raise DataError(f"the prompt {text!r:.60} has bytes that are not UTF-8: write them as UTF-8.")
        tokens = text_part(text, self.section, self.policy.tokenizer, self.policy.ids)
        if len(tokens) > self.section.max_prompt_length:
            raise DataError(
                f"the prompt {text!r:.60} has {len(tokens)} tokens, but max_prompt_length is "
                f"{self.section.max_prompt_length}: raise it, or say less."
            )
        return tokens

    def prompt(self, text: str, name: str, sight: Sight | None = None, **known: Any) -> Prompt:
        """Makes the prompt of a text.

        Args:
            sight: its own picture, in the place of that of all prompts.
            known: the answer, and the other columns of its row.

        Raises:
            DataError: it has more than `max_prompt_length` tokens.
        """
        ids, sight = self.policy.ids, sight or self.sight
        tokens = self.tokens(text)
        return Prompt(
            id=name,
            task=self.section.task,
            text=text,
            tokens=lay_out(tokens, self.section, ids, sight.codes if sight else None, self.visible_pads),
            images=(sight.picture,) if sight else (),
            unconditional=unconditional(self.section, ids, self.visible_pads),
            known_codes=sight.known if sight else None,
            **known,
        )
