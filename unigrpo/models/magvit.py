"""MAGVIT-v2: a convolutional autoencoder whose latents are bits, with the tensor names of `showlab/magvitv2`.

B images, H W pixels, h w codes (H = h x factor), N = h x w codes in raster order, C channels, K bits of a code.

Source: Language Model Beats Diffusion (arXiv:2310.05737); the two-dimensional network of Show-o (arXiv:2408.12528).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigrpo.models.magvit_config import MagvitConfig

EPS = 1e-6
"""Of every group norm, as published."""


def _norm(config: MagvitConfig, width: int) -> nn.GroupNorm:
    return nn.GroupNorm(config.groups, width, eps=EPS)


class ResBlock(nn.Module):
    """Two 3x3 convolutions, each after a norm, beside a shortcut."""

    def __init__(self, config: MagvitConfig, width: int, out: int):
        super().__init__()
        self.norm1 = _norm(config, width)
        self.conv1 = nn.Conv2d(width, out, 3, padding=1)
        self.norm2 = _norm(config, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        if width != out:
            self.nin_shortcut = nn.Conv2d(width, out, 1)
        self.widens = width != out

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return [B, out, H, W]."""
        inner = self.conv1(functional.silu(self.norm1(x_BCHW)))
        inner = self.conv2(functional.silu(self.norm2(inner)))
        return inner + (self.nin_shortcut(x_BCHW) if self.widens else x_BCHW)


class AttnBlock(nn.Module):
    """Single-head attention of every position to every other."""

    def __init__(self, config: MagvitConfig, width: int):
        super().__init__()
        self.norm = _norm(config, width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return [B, C, H, W]."""
        normed = self.norm(x_BCHW)
        q_BNC, k_BNC, v_BNC = (part(normed).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        out_BNC = functional.scaled_dot_product_attention(q_BNC, k_BNC, v_BNC)
        return x_BCHW + self.proj_out(out_BNC.transpose(1, 2).reshape(x_BCHW.shape))


class Middle(nn.Module):
    """What works at the resolution of the codes."""

    def __init__(self, config: MagvitConfig, width: int):
        super().__init__()
        self.block_1 = ResBlock(config, width, width)
        self.attn_1 = AttnBlock(config, width)
        self.block_2 = ResBlock(config, width, width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return [B, C, H, W]."""
        return self.block_2(self.attn_1(self.block_1(x_BCHW)))


class Downsample(nn.Module):
    """Halves height and width by a convolution that is padded at the right and the bottom only."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return [B, C, H / 2, W / 2]."""
        return self.conv(functional.pad(x_BCHW, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles height and width by repeating, then a convolution."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return [B, C, 2 H, 2 W]."""
        return self.conv(functional.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks of one resolution, and then the change to the next."""

    def __init__(self, config: MagvitConfig, width: int, out: int, blocks: int, **change: nn.Module):
        super().__init__()
        self.block = nn.ModuleList(ResBlock(config, out if index else width, out) for index in range(blocks))
        for name, module in change.items():
            self.add_module(name, module)
        self.change = tuple(change)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the input of the next level."""
        for block in self.block:
            x_BCHW = block(x_BCHW)
        for name in self.change:
            x_BCHW = self.get_submodule(name)(x_BCHW)
        return x_BCHW


class Encoder(nn.Module):
    """From pixels to latents."""

    def __init__(self, config: MagvitConfig):
        super().__init__()
        widths, last = config.encoder_widths, len(config.encoder_widths) - 1
        before = (widths[0], *widths)
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            Level(config, before[n], out, blocks, **({"downsample": Downsample(out)} if n < last else {}))
            for n, (out, blocks) in enumerate(zip(widths, config.encoder_blocks, strict=True))
        )
        self.mid = Middle(config, widths[-1])
        self.norm_out = _norm(config, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.bits, 3, padding=1)
        self.quant_conv = nn.Conv2d(config.bits, config.bits, 1)

    def forward(self, pixels_B3HW: Tensor) -> Tensor:
        """Return the latents, [B, K, h, w]."""
        x_BCHW = self.conv_in(pixels_B3HW)
        for level in self.down:
            x_BCHW = level(x_BCHW)
        return self.quant_conv(self.conv_out(functional.silu(self.norm_out(self.mid(x_BCHW)))))


class Decoder(nn.Module):
    """From the vectors of codes to pixels; its levels are numbered from the pixels and run towards them."""

    def __init__(self, config: MagvitConfig):
        super().__init__()
        widths = config.decoder_widths
        before = (*widths[1:], widths[-1])
        self.post_quant_conv = nn.Conv2d(config.bits, config.bits, 1)
        self.conv_in = nn.Conv2d(config.bits, widths[-1], 3, padding=1)
        self.mid = Middle(config, widths[-1])
        self.up = nn.ModuleList(
            Level(config, before[n], out, blocks, **({"upsample": Upsample(out)} if n else {}))
            for n, (out, blocks) in enumerate(zip(widths, config.decoder_blocks, strict=True))
        )
        self.norm_out = _norm(config, widths[0])
        self.conv_out = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, vectors_BKhw: Tensor) -> Tensor:
        """Return pixels around [-1, 1], [B, 3, H, W]."""
        x_BCHW = self.mid(self.conv_in(self.post_quant_conv(vectors_BKhw)))
        for level in reversed(self.up):
            x_BCHW = level(x_BCHW)
        return self.conv_out(functional.silu(self.norm_out(x_BCHW)))


class Quantizer(nn.Module):
    """Look-up-free quantisation: a channel above 0 is a bit that is set, the first channel the highest."""

    power_vals: Tensor
    embedding: Tensor

    def __init__(self, config: MagvitConfig):
        super().__init__()
        self.register_buffer("power_vals", 2 ** torch.arange(config.bits - 1, -1, -1))
        codes = torch.arange(config.codebook_size, device=self.power_vals.device)
        self.register_buffer("embedding", self.vectors(codes))

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the vector of each code, [..., K], of -1 and 1."""
        return ((codes[..., None] & self.power_vals) > 0).float() * 2 - 1

    def codes(self, latents_BKhw: Tensor) -> Tensor:
        """Return the code of each latent, [B, N] int64."""
        return (self.power_vals[:, None, None] * (latents_BKhw > 0)).sum(1).flatten(1)


class Magvit(nn.Module):
    """The whole network. Pixels are in [-1, 1]."""

    def __init__(self, config: MagvitConfig):
        super().__init__()
        self.config = config
        self.encoder, self.decoder, self.quantize = Encoder(config), Decoder(config), Quantizer(config)

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        """Return the codes of images, [B, N] int64; H and W are multiples of the factor."""
        return self.quantize.codes(self.encoder(pixels_B3HW))

    def decode(self, codes_BN: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return the pixels of codes in [0, codebook_size), [B, 3, H, W], for `shape` = (h, w)."""
        return self.decoder(self.quantize.vectors(codes_BN).transpose(1, 2).unflatten(2, shape))
