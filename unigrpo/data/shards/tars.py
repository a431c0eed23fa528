"""Webdataset shards: tar files in which members of one name are one sample, read from front to back."""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

from unigrpo.data.files import Record, parse_json
from unigrpo.errors import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
TEXTS = (".txt", ".caption", ".text", ".cls", ".json")
"""Members that are read as text; those of .json become columns."""
KEY = "__key__"
"""The column with a sample's name."""


class _Strict(tarfile.TarInfo):
    """A header. `tarfile` takes whatever is none for the end of the archive; here only the end marker is one."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "tarfile.TarInfo":
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # pyright: ignore[reportAttributeAccessIssue]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"it ends without its end marker, or is damaged: {error}") from None


def samples(path: str, file: IO[bytes], stem: str) -> Iterator[Record | DataError]:
    """Yield the samples of a shard; one that cannot be read is an error in its place.

    A sample's columns are the ends of its members' names (`jpg`, `txt`), `image` for its first picture, the fields of
    its .json, and `__key__`.

    Raises:
        DataError: the shard is cut short or damaged; the message names the last sample that was whole.
    """
    key, members, whole = None, {}, None
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Strict) as tar:
            for member in tar:
                tar.members = []  # pyright: ignore[reportAttributeAccessIssue]  # or each header of the shard would stay in memory
                if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                    continue
                found, end = _split(member.name)
                if found != key:
                    if key is not None:
                        yield _sample(path, stem, key, members)
                    whole, key, members = key, found, {}
                if end.endswith(TEXTS) or end.endswith(PICTURES):
                    content = tar.extractfile(member)
                    members[end] = content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        after = f" after sample {whole}" if whole else ""
        raise DataError(f"{path}: damaged{after}: {error}. Copy it again.") from None
    if key is None:
        raise DataError(f"{path}: holds no samples. Leave it out, or make it again.")
    yield _sample(path, stem, key, members)


def _split(name: str) -> tuple[str, str]:
    """The name of a sample, with its folder, and the end of the member's name, with its dot."""
    folder, _, last = name.rpartition("/")
    stem, dot, end = last.partition(".")
    return f"{folder}/{stem}".removeprefix("./").removeprefix("/"), f"{dot}{end.lower()}"


def _sample(path: str, stem: str, key: str, members: dict[str, bytes]) -> Record | DataError:
    where = f"{path} sample {key}"
    values: dict[str, Any] = {KEY: key}
    try:
        for end, content in members.items():
            name = end.removeprefix(".")
            if end.endswith(PICTURES):
                values[name] = content
                values.setdefault("image", content)
            elif end.endswith(".json"):
                parsed = parse_json(content, f"{where}, {name}")
                values |= parsed if isinstance(parsed, dict) else {name: parsed}
            else:
                values[name] = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        return DataError(f"{where}: its text is not UTF-8 at byte {error.start}. Save it as UTF-8.")
    except DataError as error:
        return error
    return Record(f"{stem}/{key}", where, values)
