"""The HPSv2 reward: which drawing of a prompt would people prefer?"""

from collections.abc import Sequence

import numpy as np

from rewards.registry import reward
from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.place import Precision


@reward("hps", tasks=("image", "think_image"))
class Hps:
    """The cosine of drawing and prompt under a CLIP that was tuned on preferences; between 0.2 and 0.3 as a rule.

    Source: HPSv2 (arXiv:2306.09341), hpsv2/img_score.py of its authors.
    """

    def __init__(
        self,
        path: str,
        model: str = "ViT-H-14",
        precision: Precision = "fp32",
        device: str = "auto",
        batch_size: int = 64,
    ) -> None:
        """Load the model.

        Args:
            path: the published file, HPS_v2.1_compressed.pt or HPS_v2_compressed.pt.
            model: the open_clip architecture it belongs to.
        """
        self.towers = open_clip_towers(model, path, precision, device, batch_size)

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[float]:
        """Return the score of each drawing."""
        return self.towers.cosines(images, prompts)
