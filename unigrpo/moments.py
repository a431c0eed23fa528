"""AdamW whose two moments of each weight take a byte each."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from unigrpo.algo.random import key
from unigrpo.rounding import RoundedAdamW

BLOCK = 256
"""Numbers that share a scale."""
CHUNK = BLOCK << 16
"""Numbers that exist in float32 at one time."""
POWER = 4
"""Codes are even in the fourth root of a number, for the squares of gradients differ by orders of magnitude."""
LEVELS = {torch.int8: 127, torch.uint8: 255}
CODES = {"exp_avg": torch.int8, "exp_avg_sq": torch.uint8}
SCALES = {f"{name}_scale": name for name in CODES}


def coded(values: Tensor, dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Codes of some numbers, and the largest size in each block of them.

    Rounded to a neighbour by chance, so that the mean stays: a mean that moves by a thousandth a step would else never
    leave its code. What is not 0 has no code of 0 without a sign: AdamW divides by it.

    Source: blocks after 8-bit Optimizers via Block-wise Quantization (arXiv:2110.02861).
    """
    levels = LEVELS[dtype]
    blocks = functional.pad(values, (0, -len(values) % BLOCK)).view(-1, BLOCK)
    sizes = blocks.abs()
    scales = sizes.amax(-1, keepdim=True)
    shares = sizes / scales.clamp(min=torch.finfo(torch.float32).tiny)
    low = (shares.sqrt().sqrt() * levels).floor()
    below, above = (low / levels) ** POWER, ((low + 1) / levels) ** POWER
    chances = torch.rand(shares.shape, generator=generator, device=values.device)
    codes = low + (chances < (shares - below) / (above - below))
    codes = codes.clamp(min=0 if dtype.is_signed else 1, max=levels) * blocks.sign()
    return codes.to(dtype).view(-1)[: len(values)], scales[:, 0]


def decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """The numbers that `coded` gave codes and scales for, in float32."""
    shares = codes.float() / LEVELS[codes.dtype]
    return shares.sign() * shares.abs() ** POWER * scales.repeat_interleave(BLOCK)[: len(codes)]


class Int8AdamW(RoundedAdamW):
    """AdamW with moments of a byte, for weights of any type; those of bfloat16 are rounded by chance.

    All chance is a function of the step and of the weight's place among the weights.
    """

    def _update(self, weight: Tensor, group: dict[str, Any], place: int) -> None:
        state, gradient = self.state[weight], weight.grad.reshape(-1)  # pyright: ignore[reportOptionalMemberAccess]
        if not state:
            state |= _nothing(weight)
        flat, codes = weight.detach().view(-1), {name: state[name].view(-1) for name in CODES}
        for number, at in enumerate(range(0, flat.numel(), CHUNK)):
            part, blocks = slice(at, at + CHUNK), slice(at // BLOCK, (at + CHUNK) // BLOCK)
            piece = flat[part]
            piece.grad = gradient[part]
            scales = {name: state[f"{name}_scale"][blocks] for name in CODES}
            moments = {name: decoded(codes[name][part], scales[name]) for name in CODES}
            self.state[piece] = moments | {"step": state["step"].clone()}
            super()._update(piece, group, place << 32 | number)
            done = self.state.pop(piece)
            seed = key("moments", int(done["step"]), place, number)
            generator = torch.Generator(weight.device).manual_seed(seed)
            for name, dtype in CODES.items():
                new, scale = coded(done[name], dtype, generator)
                codes[name][part].copy_(new)
                scales[name].copy_(scale)
        state["step"] += 1


def _nothing(weight: Tensor) -> dict[str, Tensor]:
    """The moments before the first step."""
    blocks = -(-weight.numel() // BLOCK)
    codes = {name: torch.zeros(weight.shape, dtype=dtype, device=weight.device) for name, dtype in CODES.items()}
    scales = {name: torch.zeros(blocks, device=weight.device) for name in SCALES}
    return {"step": torch.zeros(())} | codes | scales
