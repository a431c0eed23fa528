"""Which files of a folder travel with a job."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.jobs import ignored_by
from unigrpo.cli.packages import PACKAGES
from unigrpo.errors import ConfigError

DEFAULT_EXCLUDES = (
    *(".git/", ".venv/", "venv/", "node_modules/", "__pycache__/", "*.pyc", ".*_cache/", ".hypothesis/"),
    *("wandb/", "/runs/", "checkpoint-*/"),
    *("*.safetensors", "*.pt", "*.pth", "*.bin", "*.ckpt", "*.gguf"),
    *(".env", ".netrc"),
)
"""Left out unless a later pattern, such as `!small.pt`, takes them back: what can be made again, weights, and keys."""
IGNORE_FILES = (".gitignore", ".rayignore")
TABLES, LARGE_TABLE = (".parquet", ".arrow"), 10_000_000
"""Tables above this size, in bytes, are data to be read from where they are."""
MAX_BYTES = 100_000_000
"""Ray's job server takes requests of up to 100 MiB."""
MAX_FILES = 20_000
"""More are no working folder of one's own, but somebody's home."""
OWN = "unigrpo"
Rule = tuple[str, Callable[[str], bool]]
"""A folder, relative to the root and with a `/`, and what is ignored of the paths below it."""


@dataclass(frozen=True)
class Upload:
    """The files that travel, and what of the folder does not."""

    root: Path
    files: dict[str, int]
    """Bytes of each file, by its path relative to the root."""
    left_out: tuple[str, ...]
    """Relative paths; a folder ends with `/`."""

    def ships(self, path: Path) -> str | None:
        """The name in the upload of an absolute path, if all of it travels; else None."""
        if not path.is_relative_to(self.root):
            return None
        name = path.relative_to(self.root).as_posix()
        if name in self.files:
            return name
        below = "" if name == "." else f"{name}/"
        whole = any(file.startswith(below) for file in self.files)
        return name if whole and not any(out.startswith(below) for out in self.left_out) else None

    @property
    def is_checkout(self) -> bool:
        """Whether this is unigrpo itself, so that the job runs this code and not what the cluster has installed."""
        return all(f"{name}/__init__.py" in self.files for name in (OWN, *PACKAGES))

    def summary(self) -> str:
        """How much travels, from where, and what is left behind."""
        shown = ", ".join(self.left_out[:8]) + (f" and {len(self.left_out) - 8} more" if self.left_out[8:] else "")
        left = f", without {shown}" if shown else ""
        return f"{len(self.files)} files, {sum(self.files.values()) / 1e6:.3g} MB, of {self.root}{left}"

    def check(self) -> None:
        """Raises a ConfigError when it is too much, or would hide what the cluster has installed."""
        if sum(self.files.values()) > MAX_BYTES:
            raise ConfigError(self._too_large())
        if self.is_checkout:
            return
        for name in (OWN, *PACKAGES):
            for file in (f"{name}.py", f"{name}/__init__.py"):
                if file in self.files:
                    raise ConfigError(
                        f"{self.root / file} would hide the package '{name}' that the cluster has installed: rename "
                        f"it, or leave it out with --exclude /{file.split('/')[0]}"
                    )

    def _too_large(self) -> str:
        largest = sorted(self.files.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in largest)
        total = sum(self.files.values())
        return (
            f"{self.root} holds {total / 1e6:.0f} MB to upload, and Ray takes {MAX_BYTES / 1e6:.0f}. The largest are "
            f"{named}: leave them out with --exclude or a .rayignore file, or name another --working-dir."
        )


def gather(root: Path, excludes: Sequence[str], output: Path) -> Upload:
    """Finds what of a folder travels: all but what the defaults, its ignore files and `excludes` leave out.

    Args:
        output: folder of the run, which an earlier call may have filled, and which never travels.

    Raises:
        ConfigError: there is no such folder, or it holds too many files.
    """
    if not root.is_dir():
        raise ConfigError(f"--working-dir is {root}, which is no folder.")
    patterns = [*DEFAULT_EXCLUDES, *_patterns(root), *excludes]
    rules: list[Rule] = [("", ignored_by(patterns))]
    if output != root and output.is_relative_to(root):
        rules.append((f"{output.relative_to(root).as_posix()}/", lambda rest: rest == ""))
    files, left_out = {}, []
    for name, size in _walk(root, "", rules, ()):
        if size is None:
            left_out.append(name)
        else:
            files[name] = size
        if len(files) > MAX_FILES:
            raise ConfigError(
                f"{root} holds more than {MAX_FILES} files to upload: name a smaller --working-dir, or leave some out "
                "with --exclude or a .rayignore file."
            )
    return Upload(root, files, tuple(left_out))


def stage(upload: Upload, folder: Path, extra: dict[str, str]) -> None:
    """Fills an empty folder with links to the files that travel, and with files of the given text.

    Ray follows links. It finds no ignore files here, which it would read once more and in its own way.
    """
    for name in upload.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(upload.root / name)
    for name, text in extra.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _walk(root: Path, below: str, rules: list[Rule], around: tuple[str, ...]) -> Iterator[tuple[str, int | None]]:
    """Relative paths below a folder: of files that travel with their size, of what is left out with None."""
    real = os.path.realpath(root / below)
    if real in around:
        return  # a link to a folder that it is in
    if below and (patterns := _patterns(root / below)):
        rules = [*rules, (below, ignored_by(patterns))]
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError:
        yield below, None
        return
    for entry in entries:
        name = f"{below}{entry.name}{'/' if entry.is_dir() else ''}"
        if any(ignored(name.removeprefix(start)) for start, ignored in rules if name.startswith(start)):
            yield name, None
        elif entry.is_dir():
            yield from _walk(root, name, rules, (*around, real))
        elif entry.is_file() and entry.name not in IGNORE_FILES:
            yield name, _size(entry)


def _size(entry: os.DirEntry) -> int | None:
    """Bytes of a file that can travel, else None."""
    size = entry.stat().st_size
    table = entry.name.endswith(TABLES) and size > LARGE_TABLE
    return None if table or not os.access(entry.path, os.R_OK) else size


def _patterns(folder: Path) -> list[str]:
    lines = []
    for name in IGNORE_FILES:
        try:
            lines += (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
    return lines
