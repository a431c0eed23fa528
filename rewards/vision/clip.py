"""The CLIP reward: does the image show what the text says?"""

from collections.abc import Sequence

import numpy as np

from rewards.extract import answer_part
from rewards.registry import reward
from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.place import Precision
from unigrpo.types import DRAWING, Rollout


@reward("clip", tasks=("understand", "image", "think_image"))
class Clip:
    """100 times the cosine of image and text: of a drawing and its prompt, or of the prompt's image and its caption.

    Of a caption only the answer part counts, what stands after the thoughts; one without an answer earns 0.

    Source: CLIPScore (arXiv:2104.08718), with weight 100 and no floor, as MMaDA reports it.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        precision: Precision = "fp32",
        device: str = "auto",
        batch_size: int = 64,
    ) -> None:
        """Load the model.

        Args:
            model: a folder with open_clip_config.json and weights, such as one of `unigrpo clip`, or the name of an
                open_clip architecture. Weights of OpenAI's need a name that ends in -quickgelu.
            pretrained: file with the weights of an architecture.
            precision: bf16 is about four times faster where the CPU or GPU has it, and changes a cosine by about 0.002.
            batch_size: most images, or texts, encoded at one time.
        """
        self.towers = open_clip_towers(model, pretrained, precision, device, batch_size)

    def __call__(self, images: Sequence[np.ndarray], rollouts: Sequence[Rollout]) -> list[float]:
        """Return the score of each rollout."""
        texts = [_text(rollout) for rollout in rollouts]
        cosines = self.towers.cosines(images, [text or "" for text in texts])
        return [0.0 if text is None else 100 * cosine for text, cosine in zip(texts, cosines, strict=True)]


def _text(rollout: Rollout) -> str | None:
    return rollout.prompt.text if rollout.prompt.task in DRAWING else answer_part(rollout.output)
