"""The ImageReward reward: how well does a drawing answer its prompt, in people's eyes?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import BertTokenizer

from rewards.registry import reward
from rewards.vision.blip import VOCABULARY, load
from rewards.vision.place import DTYPES, Precision, check_batch_size
from rewards.vision.preprocess import Preprocess
from unigrpo.device import resolve_device
from unigrpo.types import DRAWING

TEXT_LENGTH = 35
"""Tokens of a prompt; the rest of a longer one is not read. Source: ImageReward.py of the published package."""


@reward("image_reward", tasks=DRAWING)
class ImageReward:
    """The score of drawing and prompt that ImageReward gives: 0 on average over its data, with deviation 1.

    Source: ImageReward (arXiv:2304.05977).
    """

    def __init__(self, path: str, precision: Precision = "fp32", device: str = "auto", batch_size: int = 32) -> None:
        """Load the model.

        Args:
            path: folder made by `unigrpo convert-imagereward`.
            precision: bf16 is about four times faster, and changes a score by about 0.03.
            batch_size: most pairs scored at one time.
        """
        check_batch_size(batch_size)
        self.batch_size = batch_size
        self.device, self.dtype = resolve_device(device, "device"), DTYPES[precision]
        self.model = load(Path(path)).to(self.device, self.dtype)
        words = (Path(path) / VOCABULARY).read_text(encoding="utf-8").splitlines()
        self.tokenizer = BertTokenizer({word: index for index, word in enumerate(words)})
        edge = self.model.sizes.image_size
        self.preprocess = Preprocess((edge, edge))

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[float]:
        """Return the score of each drawing."""
        starts = range(0, len(images), self.batch_size)
        return [
            score
            for at in starts
            for score in self._scores(images[at : at + self.batch_size], prompts[at : at + self.batch_size])
        ]

    @torch.inference_mode()
    def _scores(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[float]:
        text = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=TEXT_LENGTH, return_tensors="pt"
        ).to(self.device)
        pixels = self.preprocess(images).to(self.device, self.dtype)
        return self.model(pixels, text["input_ids"], text["attention_mask"]).float().tolist()
