"""The aesthetic reward: how much would people like this image, whatever it shows?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rewards.registry import reward
from rewards.vision.head import linear_head
from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.place import Precision, read_torch_file
from unigrpo.errors import CheckpointError
from unigrpo.types import DRAWING


@reward("aesthetic", tasks=DRAWING)
class Aesthetic:
    """The rating, from about 1 to 10, that a linear head predicts from the CLIP vector of a drawing.

    Source: LAION's improved aesthetic predictor, simple_inference.py of its author.
    """

    def __init__(
        self,
        path: str,
        model: str = "ViT-L-14-quickgelu",
        pretrained: str | None = None,
        precision: Precision = "fp32",
        device: str = "auto",
        batch_size: int = 64,
    ) -> None:
        """Load the head and the CLIP below it.

        Args:
            path: the published head, sac+logos+ava1-l14-linearMSE.pth.
            model: OpenAI's ViT-L/14, as a folder or as this name with `pretrained`.
        """
        self.towers = open_clip_towers(model, pretrained, precision, device, batch_size)
        weights = {name.removeprefix("layers."): value for name, value in read_torch_file(Path(path)).items()}
        first = weights.get("0.weight")
        if first is None:
            raise CheckpointError(f"{path}: has no layers.0.weight, so it is no aesthetic head. Is it the right file?")
        self.head = linear_head(first.shape[1])
        try:
            self.head.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: does not fit an aesthetic head: {error}") from None
        self._check_width(first.shape[1], path)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[float]:
        """Return the rating of each drawing."""
        return self.head(self.towers.images(images))[:, 0].tolist()

    def _check_width(self, width: int, path: str) -> None:
        found = self.towers.images([np.zeros((8, 8, 3), dtype=np.uint8)]).shape[1]
        if found != width:
            raise CheckpointError(f"{path}: takes vectors of {width} numbers, but those of the CLIP have {found}.")
