"""From the published ImageReward.pt to a folder of safetensors: every tensor is renamed, ignored by name, or refused.

Source: the names are those of the image-reward package 1.5.
"""

import re

from torch import Tensor

from rewards.vision.blip import BlipSizes, check_same, empty

RULES = [
    (r"blip\.visual_encoder\.cls_token", "vision.embeddings.class_embedding"),
    (r"blip\.visual_encoder\.pos_embed", "vision.embeddings.position_embedding"),
    (r"blip\.visual_encoder\.patch_embed\.proj\.(.+)", r"vision.embeddings.patch_embedding.\1"),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.norm([12])\.(.+)", r"vision.encoder.layers.\1.layer_norm\2.\3"),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.attn\.qkv\.(.+)", r"vision.encoder.layers.\1.self_attn.qkv.\2"),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.attn\.proj\.(.+)", r"vision.encoder.layers.\1.self_attn.projection.\2"),
    (r"blip\.visual_encoder\.blocks\.(\d+)\.mlp\.(.+)", r"vision.encoder.layers.\1.mlp.\2"),
    (r"blip\.visual_encoder\.norm\.(.+)", r"vision.post_layernorm.\1"),
    (r"blip\.text_encoder\.(.+)", r"text.\1"),
    (r"mlp\.layers\.(.+)", r"mlp.\1"),
]
"""What a published name, all of it, becomes."""
IGNORED = re.compile(
    r"blip\.((vision|text)_proj(_m)?|itm_head|visual_encoder_m|text_encoder_m)\..+"
    r"|blip\.(image_queue|text_queue|queue_ptr|ptr_queue|idx_queue|temp)"
    r"|blip\.text_encoder\.embeddings\.position_ids"
)
"""What only BLIP's own training needs, and positions that are counted anew."""


def renamed(name: str) -> str | None:
    """Return our name of a published tensor: None for one that is ignored, the name itself where no rule knows it."""
    if IGNORED.fullmatch(name):
        return None
    for pattern, replacement in RULES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return name


def convert(published: dict[str, Tensor], sizes: BlipSizes, where: str) -> dict[str, Tensor]:
    """Return the tensors under the names of `BlipScorer`.

    Args:
        where: the file they are of, for messages.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape; the message names it.
    """
    ours = {new: tensor for name, tensor in published.items() if (new := renamed(name)) is not None}
    wanted = {name: tuple(tensor.shape) for name, tensor in empty(sizes).state_dict().items()}
    check_same({name: tuple(tensor.shape) for name, tensor in ours.items()}, wanted, where)
    return {name: tensor.float().contiguous() for name, tensor in ours.items()}
