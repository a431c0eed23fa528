"""Real shards, written on the spot."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def png(seed: int, width: int = 8, height: int = 8) -> bytes:
    """The file of a picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, samples: dict[str, dict[str, bytes | str]]) -> Path:
    """A shard with these members for each key."""
    with tarfile.open(path, "w") as tar:
        for key, members in samples.items():
            for end, content in members.items():
                data = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(f"{key}.{end}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def captioned(numbers) -> dict[str, dict[str, bytes | str]]:
    """Samples of a picture and a caption."""
    return {f"{number:06}": {"png": png(number), "txt": f"picture {number}"} for number in numbers}


def write_tars(folder: Path, shards: int, each: int) -> str:
    """Several shards of captioned pictures; returns their braces."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        write_tar(folder / f"{shard:05}.tar", captioned(range(shard * each, (shard + 1) * each)))
    return f"{folder}/{{00000..{shards - 1:05}}}.tar"


def write_parquet(path: Path, rows: list[dict], group: int = 1000) -> Path:
    """A parquet file in groups of so many rows."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)
    return path
