"""Where shards are: braces, globs and addresses become a list of files, and a file is opened wherever it is."""

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from unigrpo.config.sources import is_remote
from unigrpo.errors import DataError, MissingExtraError

MOST = 1_000_000
"""Files that one pattern may stand for."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


def expand(path: str) -> list[str]:
    """Return the files that a path stands for, in the order of its braces, and sorted where it has wildcards.

    Args:
        path: a file, with `{00000..00199}`, `{a,b}`, `*`, `?`, `[ab]` or `**`, here or behind `http://`, `s3://` and
            whatever else fsspec opens.

    Raises:
        DataError: a pattern fits nothing, or a range has no end.
    """
    return [file for one in braces(path) for file in _globbed(one)]


def braces(path: str) -> list[str]:
    """Return the paths that braces stand for, as a shell has them: `a{08..10}` is a08, a09, a10."""
    done, left = [], [path]
    while left:
        one = left.pop()
        match = _BRACES.search(one)
        if match is None:
            done.append(one)
            continue
        choices = _choices(match[1], path)
        if len(done) + len(left) + len(choices) > MOST:
            raise DataError(f"{path} stands for more than {MOST:,} files: name fewer, or larger ones.")
        left += [one[: match.start()] + choice + one[match.end() :] for choice in reversed(choices)]
    return done


def _choices(inside: str, path: str) -> list[str]:
    match = _RANGE.fullmatch(inside)
    if match is None:
        if "," in inside:
            return inside.split(",")
        raise DataError(f"{path}: {{{inside}}} is no range: write {{00000..00199}}, or {{a,b}}.")
    first, last = int(match[1]), int(match[2])
    width = len(match[1]) if match[1].startswith("0") else 0
    if abs(last - first) >= MOST:
        raise DataError(f"{path} stands for more than {MOST:,} files: name fewer, or larger ones.")
    step = 1 if first <= last else -1
    return [f"{number:0{width}}" for number in range(first, last + step, step)]


def _globbed(path: str) -> list[str]:
    if not any(letter in path for letter in "*?["):
        return [path]
    if is_remote(path):
        with _filesystem(path) as (files, inside):
            found = sorted(str(files.unstrip_protocol(name)) for name in files.glob(inside))
    else:
        found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise DataError(f"{path} fits no file. Correct the pattern.")
    return found


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file to be read, here or elsewhere.

    Raises:
        DataError: it does not exist, or may not be read.
        MissingExtraError: the package for such addresses is not installed.
    """
    try:
        file: Any = _elsewhere(path) if is_remote(path) else open(path, "rb")  # noqa: SIM115
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Correct data.path.") from None
    except PermissionError:
        raise DataError(f"{path} cannot be read: permission denied. Allow it, or give another file.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: name the files in it, such as {path}/*.tar.") from None
    with file:
        yield file


def _elsewhere(path: str) -> Any:
    with _filesystem(path) as (files, inside):
        return files.open(inside, "rb")


@contextmanager
def _filesystem(path: str) -> Iterator[tuple[Any, str]]:
    import fsspec

    try:
        yield fsspec.core.url_to_fs(path)
    except ImportError as error:
        raise MissingExtraError(f"{path}: {error}") from error
    except ValueError as error:  # a protocol that fsspec has not
        raise DataError(f"{path}: {error}. Correct data.path.") from None
