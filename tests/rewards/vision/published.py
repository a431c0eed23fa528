"""ImageReward as it was published, a second time: its tensors by name, and its forward pass in plain torch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, one_hot, scaled_dot_product_attention, unfold

from rewards.vision.blip import BlipSizes

SMALL = BlipSizes(
    image_size=32,
    patch_size=8,
    vision_width=32,
    vision_layers=2,
    vision_heads=4,
    vision_mlp=48,
    vocabulary=40,
    text_width=24,
    text_layers=2,
    text_heads=3,
    text_mlp=56,
    positions=40,
    head=(20, 12, 8, 4),
)


def shapes(s: BlipSizes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the published file."""
    v, t = s.vision_width, s.text_width
    yield "blip.visual_encoder.cls_token", (1, 1, v)
    yield "blip.visual_encoder.pos_embed", (1, (s.image_size // s.patch_size) ** 2 + 1, v)
    yield "blip.visual_encoder.patch_embed.proj.weight", (v, 3, s.patch_size, s.patch_size)
    yield "blip.visual_encoder.patch_embed.proj.bias", (v,)
    for n in range(s.vision_layers):
        block = f"blip.visual_encoder.blocks.{n}"
        yield from _norm(f"{block}.norm1", v)
        yield from _linear(f"{block}.attn.qkv", v, 3 * v)
        yield from _linear(f"{block}.attn.proj", v, v)
        yield from _norm(f"{block}.norm2", v)
        yield from _linear(f"{block}.mlp.fc1", v, s.vision_mlp)
        yield from _linear(f"{block}.mlp.fc2", s.vision_mlp, v)
    yield from _norm("blip.visual_encoder.norm", v)
    yield "blip.text_encoder.embeddings.position_ids", (1, s.positions)
    yield "blip.text_encoder.embeddings.word_embeddings.weight", (s.vocabulary, t)
    yield "blip.text_encoder.embeddings.position_embeddings.weight", (s.positions, t)
    yield from _norm("blip.text_encoder.embeddings.LayerNorm", t)
    for n in range(s.text_layers):
        layer = f"blip.text_encoder.encoder.layer.{n}"
        for kind, source in (("attention", t), ("crossattention", v)):
            yield from _linear(f"{layer}.{kind}.self.query", t, t)
            yield from _linear(f"{layer}.{kind}.self.key", source, t)
            yield from _linear(f"{layer}.{kind}.self.value", source, t)
            yield from _linear(f"{layer}.{kind}.output.dense", t, t)
            yield from _norm(f"{layer}.{kind}.output.LayerNorm", t)
        yield from _linear(f"{layer}.intermediate.dense", t, s.text_mlp)
        yield from _linear(f"{layer}.output.dense", s.text_mlp, t)
        yield from _norm(f"{layer}.output.LayerNorm", t)
    yield from _linear("blip.vision_proj", v, 256)
    yield from _linear("blip.text_proj", t, 256)
    widths = (t, *s.head, 1)
    for place, before, after in zip((0, 2, 4, 6, 7), widths, widths[1:], strict=False):
        yield from _linear(f"mlp.layers.{place}", before, after)


def _linear(name: str, before: int, after: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (after, before)
    yield f"{name}.bias", (after,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def weights(sizes: BlipSizes, spread: float = 0.5) -> dict[str, Tensor]:
    """The published file with random numbers in it."""
    torch.manual_seed(0)
    return {name: torch.randn(shape) * spread for name, shape in shapes(sizes)}


def score(w: dict[str, Tensor], s: BlipSizes, pixels: Tensor, tokens: Tensor, key_mask: Tensor) -> Tensor:
    """The published forward pass."""
    image = _vision(w, s, pixels)
    x = one_hot(tokens, s.vocabulary).float() @ w["blip.text_encoder.embeddings.word_embeddings.weight"]
    x = x + w["blip.text_encoder.embeddings.position_embeddings.weight"][: x.shape[1]]
    x = _normed(w, "blip.text_encoder.embeddings.LayerNorm", x, 1e-12)
    for n in range(s.text_layers):
        layer = f"blip.text_encoder.encoder.layer.{n}"
        for kind in ("attention", "crossattention"):
            at = f"{layer}.{kind}"
            keys, mask = (x, key_mask.bool()[:, None, None]) if kind == "attention" else (image, None)
            q, k, v = (
                _through(w, f"{at}.self.{part}", of) for part, of in (("query", x), ("key", keys), ("value", keys))
            )
            mixed = _through(w, f"{at}.output.dense", _attend(q, k, v, s.text_heads, mask))
            x = _normed(w, f"{at}.output.LayerNorm", mixed + x, 1e-12)
        inner = gelu(_through(w, f"{layer}.intermediate.dense", x))
        x = _normed(w, f"{layer}.output.LayerNorm", _through(w, f"{layer}.output.dense", inner) + x, 1e-12)
    x = x[:, 0]
    for place in (0, 2, 4, 6, 7):
        x = _through(w, f"mlp.layers.{place}", x)
    return (x[:, 0] - 0.16717362830052426) / 1.0333394966054072


def _vision(w: dict[str, Tensor], s: BlipSizes, pixels: Tensor) -> Tensor:
    patches = unfold(pixels, s.patch_size, stride=s.patch_size).transpose(1, 2)
    kernel = w["blip.visual_encoder.patch_embed.proj.weight"].flatten(1)
    x = linear(patches, kernel, w["blip.visual_encoder.patch_embed.proj.bias"])
    x = torch.cat([w["blip.visual_encoder.cls_token"].expand(len(x), -1, -1), x], dim=1)
    x = x + w["blip.visual_encoder.pos_embed"]
    for n in range(s.vision_layers):
        block = f"blip.visual_encoder.blocks.{n}"
        q, k, v = _through(w, f"{block}.attn.qkv", _normed(w, f"{block}.norm1", x, 1e-6)).chunk(3, dim=-1)
        x = x + _through(w, f"{block}.attn.proj", _attend(q, k, v, s.vision_heads, None))
        inner = gelu(_through(w, f"{block}.mlp.fc1", _normed(w, f"{block}.norm2", x, 1e-6)))
        x = x + _through(w, f"{block}.mlp.fc2", inner)
    return _normed(w, "blip.visual_encoder.norm", x, 1e-6)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def _through(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _normed(w: dict[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    return layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)
