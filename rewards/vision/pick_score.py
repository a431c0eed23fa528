"""The PickScore reward: which drawing of a prompt would its author pick?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import get_tokenizer
from torch import Tensor
from transformers import CLIPModel

from rewards.registry import reward
from rewards.vision.place import DTYPES, Precision, check_batch_size
from rewards.vision.preprocess import Preprocess
from rewards.vision.towers import Towers
from unigrpo.device import resolve_device
from unigrpo.errors import CheckpointError
from unigrpo.types import DRAWING


@reward("pick_score", tasks=DRAWING)
class PickScore:
    """The scaled cosine of drawing and prompt under a CLIP that was tuned on users' choices; about 20 as a rule.

    Source: PickScore (arXiv:2305.01569), equation 1.
    """

    def __init__(self, path: str, precision: Precision = "fp32", device: str = "auto", batch_size: int = 64) -> None:
        """Load the model.

        Args:
            path: folder of the published yuvalkirstain/PickScore_v1; its tokenizer is CLIP's, and comes with open_clip.
        """
        check_batch_size(batch_size)
        model = _load(Path(path)).to(resolve_device(device, "device"), DTYPES[precision])
        edge = model.config.vision_config.image_size
        self.scale = float(model.logit_scale.float().exp())
        self.towers = Towers(
            preprocess=Preprocess((edge, edge)),
            encode_images=lambda pixels: model.visual_projection(model.vision_model(pixels).pooler_output),
            encode_texts=_text_encoder(model),
            device=model.device,
            dtype=model.dtype,
            batch_size=batch_size,
        )

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[float]:
        """Return the score of each drawing."""
        return [self.scale * cosine for cosine in self.towers.cosines(images, prompts)]


def _text_encoder(model: Any) -> Callable[[list[str]], Tensor]:
    tokenize = get_tokenizer("ViT-H-14", context_length=model.config.text_config.max_position_embeddings)

    def encode(texts: list[str]) -> Tensor:
        return model.text_projection(model.text_model(tokenize(texts).to(model.device)).pooler_output)

    return encode


def _load(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: no config.json there. Set path to a folder of PickScore_v1.")
    try:
        found: Any = CLIPModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except Exception as error:  # whatever transformers and safetensors raise
        raise CheckpointError(f"{folder}: cannot be loaded as a CLIP: {' '.join(str(error).split())[:300]}") from error
    model, report = found
    if report["missing_keys"]:
        raise CheckpointError(f"{folder}: the weights lack {sorted(report['missing_keys'])[0]}. Download it again.")
    return model.eval().requires_grad_(False)
