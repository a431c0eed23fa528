"""Random numbers as a function of a key and a counter, never of a state.

Any worker, any split of a batch and any resume draws the same numbers, on any device.

Source: SplitMix64 (Steele, Lea and Flood, 2014), which is a finaliser applied to key + counter * golden ratio.
"""

import hashlib

import torch
from torch import Tensor

GOLDEN = -0x61C8864680B583EB
MIX_1 = -0x40A7B892E31B1A47
MIX_2 = -0x6B2FB644ECCEEE15


def key(*parts: int | str) -> int:
    """A 64-bit signed key from what names a draw, such as (run seed, step, prompt id, rollout index, purpose)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of signed 64-bit integers."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def bits(keys: Tensor, counters: Tensor) -> Tensor:
    """64 random bits for each pair of key and counter, broadcast against each other (int64 in, int64 out)."""
    z = keys + (counters + 1) * GOLDEN
    z = (z ^ _shift(z, 30)) * MIX_1
    z = (z ^ _shift(z, 27)) * MIX_2
    return z ^ _shift(z, 31)


WIDEST = {"mps": torch.float32}
"""The widest floating-point type of the devices that have no float64."""


def widest(device: torch.device) -> torch.dtype:
    """The type in which probabilities are added up: float64, or what the device has."""
    return WIDEST.get(device.type, torch.float64)


def uniform(keys: Tensor, counters: Tensor) -> Tensor:
    """Uniform numbers in the open interval (0, 1), float64 (float32 on devices without it)."""
    if widest(keys.device) == torch.float32:
        return (_shift(bits(keys, counters), 41).float() + 0.5) * 2.0**-23
    return (_shift(bits(keys, counters), 12).double() + 0.5) * 2.0**-52


def gumbel(keys: Tensor, counters: Tensor) -> Tensor:
    """Standard Gumbel numbers, -log(-log u); in the model's type rare tokens would be drawn far too rarely."""
    return -torch.log(-torch.log(uniform(keys, counters)))
