"""The sizes of a MAGVIT-v2: from a config.json of ours, or, for weights published without them, from tensor shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from unigrpo.errors import CheckpointError, ConfigError

LEVEL = re.compile(r"(encoder\.down|decoder\.up)\.(\d+)\.block\.(\d+)\.conv1\.weight")
MOST_BITS = 20
"""More bits than any codebook has had; the table of codes in a checkpoint has 2 ** bits rows."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class MagvitConfig:
    """Sizes of the network, level 0 first: the level that sees pixels. The defaults are the published ones."""

    bits: int = 13
    """Channels of a latent, one bit of its code each."""
    encoder_widths: tuple[int, ...] = (128, 256, 256, 512, 512)
    decoder_widths: tuple[int, ...] = (128, 128, 256, 256, 512)
    encoder_blocks: tuple[int, ...] = (4, 3, 4, 3, 4)
    decoder_blocks: tuple[int, ...] = (4, 4, 3, 4, 3)
    groups: int = 32
    """Groups of a group norm, a divisor of every width."""

    def __post_init__(self):
        """Raises a ConfigError when the sizes make no network."""
        widths, blocks = (self.encoder_widths, self.decoder_widths), (self.encoder_blocks, self.decoder_blocks)
        lengths = [len(sizes) for sizes in widths + blocks]
        if len(set(lengths)) != 1 or not lengths[0]:
            raise ConfigError(f"widths and blocks have {lengths} entries: give each one for every level.")
        if not 1 <= self.bits <= MOST_BITS:
            raise ConfigError(f"bits is {self.bits}: set it to a number from 1 to {MOST_BITS}.")
        if min(sum(blocks, ())) < 1 or self.groups < 1:
            raise ConfigError("blocks and groups must be 1 or more: correct the sizes of the image tokenizer.")
        if odd := [width for width in sum(widths, ()) if width < 1 or width % self.groups]:
            raise ConfigError(f"groups is {self.groups}, which does not divide the width {odd[0]}: change one of them.")

    @property
    def factor(self) -> int:
        """Pixels along one side of a code."""
        return 2 ** (len(self.encoder_widths) - 1)

    @property
    def codebook_size(self) -> int:
        """How many codes there are."""
        return 2**self.bits


def config_of(values: Mapping[str, Any], shapes: Shapes, where: str) -> MagvitConfig:
    """Return the sizes that config.json gives; where it gives none, those that the tensors have.

    Args:
        values: config.json; keys that are not ours are passed over.
        shapes: of the tensors, by name.

    Raises:
        CheckpointError: they make no network; the message starts with `where`.
    """
    known = {field.name for field in fields(MagvitConfig)}
    given = {name: _size(value, name, where) for name, value in values.items() if name in known}
    try:
        if "encoder_widths" in given:
            return MagvitConfig(**given)
        return MagvitConfig(**_sizes_of(shapes, where) | given)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from None


def _size(value: Any, name: str, where: str) -> Any:
    numbers = value if isinstance(value, list) else [value]
    single = isinstance(getattr(MagvitConfig, name), int)
    if single is isinstance(value, list) or not all(type(number) is int for number in numbers):
        raise CheckpointError(f"{where}: {name} is {value!r:.60}, but is {'a number' if single else 'numbers'}.")
    return value if single else tuple(numbers)


def _sizes_of(shapes: Shapes, where: str) -> dict[str, Any]:
    """The sizes that tensors show; all but the groups of a norm, which leave no trace."""
    found: dict[str, dict[int, dict[int, int]]] = {"encoder.down": {}, "decoder.up": {}}
    for name, shape in shapes.items():
        if match := LEVEL.fullmatch(name):
            found[match[1]].setdefault(int(match[2]), {})[int(match[3])] = shape[0]
    if not all(found.values()) or "encoder.quant_conv.bias" not in shapes:
        raise CheckpointError(f"{where}: holds no MAGVIT-v2, such as showlab/magvitv2: encoder.down.* is not there.")
    sizes: dict[str, Any] = {"bits": shapes["encoder.quant_conv.bias"][0]}
    for side, levels in (("encoder", found["encoder.down"]), ("decoder", found["decoder.up"])):
        ordered = [levels[level] for level in sorted(levels)]
        sizes[f"{side}_widths"] = tuple(blocks[min(blocks)] for blocks in ordered)
        sizes[f"{side}_blocks"] = tuple(len(blocks) for blocks in ordered)
    return sizes
