"""Data sets of the Hugging Face hub, read while they are downloaded."""

from collections.abc import Iterator
from typing import Any

from unigrpo.config import DataSection
from unigrpo.errors import DataError


def shard_count(section: DataSection) -> int:
    """Return in how many parts a data set can be read.

    Raises:
        DataError: the hub cannot be reached, or has no such data set.
    """
    return max(1, _data(section).num_shards)


def rows_of(section: DataSection, number: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of one part, pictures as the bytes of their files."""
    data = _data(section)
    yield from data.shard(num_shards=count, index=number) if count > 1 else data


def _data(section: DataSection) -> Any:
    from datasets import load_dataset

    from unigrpo.data.files import undecoded

    try:
        data: Any = load_dataset(section.path or "", section.subset, split=section.split, streaming=True)
        return undecoded(data)
    except Exception as error:  # each kind of repository fails in its own way
        reason = " ".join(str(error).split())
        raise DataError(
            f"data.path is {section.path!r}, which the hub does not give ({type(error).__name__}: {reason:.200}). "
            "Without a network, download it elsewhere and name its files: data.source=file data.path=FOLDER/*.parquet."
        ) from None
