"""The network of ImageReward: BLIP's text encoder, reading the image by cross-attention, and a linear head.

B pairs, T text tokens, H W pixels.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

from rewards.vision.head import HIDDEN, linear_head
from unigrpo.errors import CheckpointError

CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocab.txt"
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072
"""Of the raw score over the authors' data. Source: ImageReward.py of the published package."""


@dataclass(frozen=True, kw_only=True)
class BlipSizes:
    """Sizes of the network; the defaults are those of the published ImageReward."""

    image_size: int = 224
    patch_size: int = 16
    vision_width: int = 1024
    vision_layers: int = 24
    vision_heads: int = 16
    vision_mlp: int = 4096
    vocabulary: int = 30524
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_mlp: int = 3072
    positions: int = 512
    head: tuple[int, ...] = HIDDEN

    def vision(self) -> BlipVisionConfig:
        """The configuration of the vision tower."""
        return BlipVisionConfig(
            hidden_size=self.vision_width,
            intermediate_size=self.vision_mlp,
            num_hidden_layers=self.vision_layers,
            num_attention_heads=self.vision_heads,
            image_size=self.image_size,
            patch_size=self.patch_size,
            layer_norm_eps=1e-6,
        )

    def text(self) -> BlipTextConfig:
        """The configuration of the text tower; as a decoder it has the cross-attention, but it is not run as one."""
        return BlipTextConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.text_width,
            encoder_hidden_size=self.vision_width,
            intermediate_size=self.text_mlp,
            num_hidden_layers=self.text_layers,
            num_attention_heads=self.text_heads,
            max_position_embeddings=self.positions,
            is_decoder=True,
            bos_token_id=None,
            sep_token_id=None,
        )


class BlipScorer(nn.Module):
    """How well an image answers a text, by what people preferred.

    Source: ImageReward (arXiv:2304.05977), section 3.
    """

    def __init__(self, sizes: BlipSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.vision = BlipVisionModel(sizes.vision())
        self.text = BlipTextModel(sizes.text(), add_pooling_layer=False)
        self.mlp = linear_head(sizes.text_width, sizes.head)

    def forward(self, pixels_B3HW: Tensor, tokens_BT: Tensor, key_mask_BT: Tensor) -> Tensor:
        """Return the score of each pair, [B].

        Args:
            key_mask_BT: [B, T], 1 where there is text.
        """
        image = self.vision(pixels_B3HW).last_hidden_state
        read = self.text(
            tokens_BT, attention_mask=key_mask_BT, encoder_hidden_states=image, is_decoder=False
        ).last_hidden_state
        return (self.mlp(read[:, 0])[:, 0] - MEAN) / DEVIATION


def empty(sizes: BlipSizes) -> BlipScorer:
    """Return the network without memory for its weights."""
    with torch.device("meta"):
        return BlipScorer(sizes)


def save(state: dict[str, Tensor], sizes: BlipSizes, vocabulary: str, folder: Path) -> None:
    """Write a folder that `load` reads."""
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(asdict(sizes), indent=2) + "\n", encoding="utf-8")
    (folder / VOCABULARY).write_text(vocabulary, encoding="utf-8")


def load(folder: Path) -> BlipScorer:
    """Read a folder that `save` wrote.

    Raises:
        CheckpointError: a file is missing, or is not what it should be.
    """
    for name in (CONFIG, WEIGHTS, VOCABULARY):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no {name} there. Make the folder with `unigrpo convert-imagereward`.")
    model = empty(_read_sizes(folder / CONFIG))
    _check_shapes(folder / WEIGHTS, {name: tuple(t.shape) for name, t in model.state_dict().items()})
    model.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    # The one tensor that is not among the weights, and so still has no memory.
    positions = torch.arange(model.sizes.positions)[None]
    model.text.embeddings.register_buffer("position_ids", positions, persistent=False)
    return model.eval().requires_grad_(False)


def _read_sizes(file: Path) -> BlipSizes:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        unknown = set(values) - {field.name for field in fields(BlipSizes)}
        if unknown:
            raise ValueError(f"`{min(unknown)}` is unknown")
        return BlipSizes(**{**values, "head": tuple(values["head"])})
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{file}: is no configuration of ImageReward ({error}). Convert it again.") from None


def _check_shapes(file: Path, wanted: dict[str, tuple[int, ...]]) -> None:
    try:
        with safe_open(file, framework="pt") as tensors:
            found = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: truncated or corrupt ({error}). Convert it again.") from None
    check_same(found, wanted, str(file))


def check_same(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]], where: str) -> None:
    """Raise a `CheckpointError` that names the first tensor that is missing, unknown or of another shape."""
    for name, shape in wanted.items():
        if name not in found:
            raise CheckpointError(f"{where}: tensor {name} is missing. Is it all of ImageReward?")
        if found[name] != shape:
            raise CheckpointError(f"{where}: tensor {name} has shape {found[name]}, but ImageReward's is {shape}.")
    unknown = sorted(found.keys() - wanted.keys())
    if unknown:
        raise CheckpointError(f"{where}: tensor {unknown[0]} ({len(unknown)} in all) is unknown to ImageReward.")
