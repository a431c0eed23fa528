"""`unigrpo tokenize-images`."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from unigrpo.config import TokenizeImagesConfig
from unigrpo.config.files import write_atomically
from unigrpo.config.sources import is_remote
from unigrpo.data.shards.broken import Skipped, Tally
from unigrpo.data.shards.codes import INDEX, MADE_BY, check_made_by, made_with, shards_of, write_index, write_shard
from unigrpo.data.shards.lanes import Item
from unigrpo.data.shards.pictures import PictureMaker
from unigrpo.data.shards.pool import Pool
from unigrpo.data.shards.units import Unit, digest_of, units_of
from unigrpo.device import resolve_device
from unigrpo.errors import ConfigError
from unigrpo.machine import set_threads
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.progress import progress

SHOWN = ("codes/pictures", "codes/per_second", "codes/broken")


def run(config: TokenizeImagesConfig) -> int:
    """Encodes what has no codes yet; prints how many pictures have some."""
    kept, tally = tokenize(config)
    for message in tally.messages:
        print(f"left out: {message}")
    print(f"{config.output}  codes of {kept} pictures; read {tally.seen}, left out {tally.broken} broken")
    return 0


def tokenize(config: TokenizeImagesConfig) -> tuple[int, Tally]:
    """Writes codes for each part of the data that has none yet, and the index of all.

    Returns:
        How many pictures have codes, and what became of those that were read now.

    Raises:
        ConfigError: the folder holds the codes of another tokenizer.
        DataError: the data cannot be read, or too much of it is broken.
    """
    set_threads(config.cluster.threads)
    section, folder = config.data, Path(config.output)
    images = ImageTokenizer.load(config.image_tokenizer, resolve_device(config.device, "device"))
    units = units_of(section)
    _prepare(folder, made_with(images, section.fit), config.overwrite)
    done = {shard.stem.removeprefix("codes-") for shard in shards_of(folder)}
    left = [unit for unit in units if _name(unit) not in done]
    tally = Tally(section.path or section.source, section.max_broken)
    pool = Pool(config.workers)
    with closing(pool), progress("Codes", len(units), len(units) - len(left), SHOWN) as bar:
        started, count = time.perf_counter(), 0
        maker = pool.add(PictureMaker(section, images.resolution))
        for unit, items in pool.in_order(maker, left):
            keys, codes = _encoded(items, images, tally)
            write_shard(folder, _name(unit), keys, codes, images.codebook_size)
            count += len(keys)
            pace = count / (time.perf_counter() - started)
            bar.update({"codes/pictures": count, "codes/per_second": pace, "codes/broken": tally.broken})
    tally.end()
    return write_index(folder), tally


def _prepare(folder: Path, wanted: dict[str, Any], overwrite: bool) -> None:
    """Make the folder, or make sure that its codes are of the same tokenizer."""
    if (folder / MADE_BY).is_file():
        try:
            return check_made_by(folder, wanted, "output")
        except ConfigError as error:
            if not overwrite:
                raise ConfigError(f"{error} To replace them: overwrite=true.") from None
        for file in (*shards_of(folder), folder / INDEX):
            file.unlink(missing_ok=True)
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"output={folder} is not empty and holds no codes: name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / MADE_BY, json.dumps(wanted, indent=2) + "\n")
    return None


def _name(unit: Unit) -> str:
    """What names the codes of a part of the data; a file that has changed is another."""
    parts = [digest_of([unit])]
    if unit.kind not in ("hub", "made", "folder") and not is_remote(unit.path) and os.path.exists(unit.path):
        found = os.stat(unit.path)
        parts.append(f"{found.st_size}/{found.st_mtime_ns}")
    return hashlib.blake2b("/".join(parts).encode(), digest_size=8).hexdigest()


def _encoded(items: Iterator[Item], images: ImageTokenizer, tally: Tally) -> tuple[list[bytes], list[np.ndarray]]:
    """The codes of a part, by the keys of its pictures; one that comes twice is encoded once."""
    found: dict[bytes, np.ndarray] = {}
    waiting: dict[bytes, np.ndarray] = {}
    for item in items:
        tally.add(item.value)
        if not isinstance(item.value, Skipped) and item.value.key not in found:
            waiting[item.value.key] = item.value.pixels
        if len(waiting) >= images.batch_size:
            found |= _encode(waiting, images)
            waiting = {}
    found |= _encode(waiting, images)
    return list(found), list(found.values())


def _encode(waiting: dict[bytes, np.ndarray], images: ImageTokenizer) -> dict[bytes, np.ndarray]:
    pixels: Sequence[np.ndarray] = list(waiting.values())
    return dict(zip(waiting, images.encode(pixels) if pixels else [], strict=True))
