"""Codes that are kept of pictures: shards of them, found by the content of a picture's file.

A folder holds `tokenizer.json` (what made them), `codes-ID.safetensors` for each part of the data (`keys` [n, 16]
uint8, `codes` [n, N]), and `index.npy`, all keys in order, which processes map into memory together.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from unigrpo.data.protocols import Images
from unigrpo.errors import ConfigError, DataError

KEY_BYTES = 16
MADE_BY, INDEX = "tokenizer.json", "index.npy"
HIGH, LOW, SHARD, ROW = range(4)
"""Rows of the index: the halves of a key, and where its codes are."""


def picture_key(image: np.ndarray | Path | bytes) -> bytes:
    """Return what names a picture: a hash of its file, or of its pixels where it has none.

    Raises:
        DataError: the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    if isinstance(image, np.ndarray):
        digest.update(repr(image.shape).encode() + image.tobytes())
    else:
        try:
            digest.update(image if isinstance(image, bytes) else image.read_bytes())
        except OSError as error:
            raise DataError(f"the image {str(image)!r} cannot be read: {error.strerror}.") from None
    return digest.digest()


class KeptCodes:
    """The codes of a folder, read where they are wanted."""

    def __init__(self, folder: Path):
        """Raises a ConfigError when it holds no codes."""
        self.folder, self.made_by = folder, made_by(folder)
        try:
            self.index = np.load(folder / INDEX, mmap_mode="r")
        except (OSError, ValueError):
            raise ConfigError(
                f"data.codes is {str(folder)!r}, which holds no {INDEX}: run `unigrpo tokenize-images` to its end."
            ) from None
        self.shards = shards_of(folder)
        self.open: dict[int, Any] = {}

    @staticmethod
    @cache
    def of(folder: str) -> "KeptCodes":
        """Return those of a folder, once in a process."""
        return KeptCodes(Path(folder))

    def __reduce__(self) -> Any:
        return KeptCodes.of, (str(self.folder),)

    def find(self, key: bytes) -> np.ndarray | None:
        """Return the codes of a picture, [N] int64; None when there are none."""
        high, low = (np.uint64(int.from_bytes(half, "big")) for half in (key[:8], key[8:]))
        at = int(np.searchsorted(self.index[HIGH], high))
        while at < self.index.shape[1] and self.index[HIGH, at] == high:
            if self.index[LOW, at] == low:
                return self._codes(int(self.index[SHARD, at]), int(self.index[ROW, at]))
            at += 1
        return None

    def _codes(self, shard: int, row: int) -> np.ndarray:
        from safetensors import safe_open

        if shard not in self.open:
            self.open[shard] = safe_open(self.shards[shard], "numpy")
        return self.open[shard].get_slice("codes")[row].astype(np.int64).reshape(-1)


def shards_of(folder: Path) -> list[Path]:
    """Return the files of codes that are whole, in their order."""
    return sorted(folder.glob("codes-*.safetensors"))


def made_by(folder: Path) -> dict[str, Any]:
    """Return what made the codes of a folder.

    Raises:
        ConfigError: there is no such folder, or it holds none.
    """
    try:
        return json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ConfigError(
            f"data.codes is {str(folder)!r}, which holds no {MADE_BY}: name a folder made by `unigrpo tokenize-images`."
        ) from None


def made_with(images: Images, fit: str) -> dict[str, Any]:
    """Return what the codes of an image tokenizer depend on, beside the pictures."""
    sizes = {"resolution": images.resolution, "tokens": images.tokens, "codebook_size": images.codebook_size}
    return {"weights": images.fingerprint, **sizes, "fit": fit}


def check_made_by(folder: Path, wanted: dict[str, Any], key: str = "data.codes") -> None:
    """Make sure that codes are those that a tokenizer would make.

    Raises:
        ConfigError: they are of other weights, or of pictures fitted otherwise.
    """
    found = made_by(folder)
    for name, value in wanted.items():
        if found.get(name) != value:
            raise ConfigError(
                f"{key} is {str(folder)!r}, whose codes were made with {name}={found.get(name)}, but this run has "
                f"{name}={value}: make them again with `unigrpo tokenize-images`, or drop it."
            )


def write_shard(folder: Path, name: str, keys: Sequence[bytes], codes: Sequence[np.ndarray], codebook: int) -> None:
    """Write the codes of a part of the data, whole or not at all."""
    from safetensors.numpy import save_file

    kind = np.uint16 if codebook <= 2**16 else np.int32
    key_rows = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), KEY_BYTES)
    rows = np.stack(codes).astype(kind) if codes else np.empty((0, 0), kind)
    temporary = folder / f"{name}.tmp"
    save_file({"keys": np.ascontiguousarray(key_rows), "codes": rows}, temporary)
    temporary.rename(folder / f"codes-{name}.safetensors")


def write_index(folder: Path) -> int:
    """Write the index of all shards, and return how many pictures they hold."""
    from safetensors import safe_open

    parts = []
    for number, shard in enumerate(shards_of(folder)):
        with safe_open(shard, "numpy") as file:
            keys = file.get_tensor("keys")
        if not len(keys):
            continue
        halves = keys.view(">u8").astype(np.uint64).T
        places = np.stack([np.full(len(keys), number, np.uint64), np.arange(len(keys), dtype=np.uint64)])
        parts.append(np.concatenate([halves, places]))
    index = np.concatenate(parts, axis=1) if parts else np.empty((4, 0), np.uint64)
    index = np.ascontiguousarray(index[:, np.lexsort((index[LOW], index[HIGH]))])
    temporary = folder / f"{INDEX}.tmp"
    with temporary.open("wb") as file:
        np.save(file, index)
    temporary.rename(folder / INDEX)
    KeptCodes.of.cache_clear()  # they hold the index as it was
    return index.shape[1]
