"""Where configs are found, and how files are written so that a crash leaves the old or the new one."""

import difflib
import os
import tempfile
from pathlib import Path

from unigrpo.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_configs() -> Path:
    """The folder of the configs that come with unigrpo: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"


def find_config(name: str) -> Path:
    """The yaml file of this name, in the current folder or else among the shipped configs.

    Raises:
        ConfigError: there is none, or it is a folder.
    """
    shipped = shipped_configs()
    for path in (Path(name), shipped / name, shipped / name.removeprefix("configs/")):
        if path.is_file():
            return path
    if Path(name).is_dir():
        raise ConfigError(f"{name} is a folder: name a yaml file.")
    known = _yaml_names(Path(name).parent, str(Path(name).parent)) + _yaml_names(shipped, "configs")
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    raise ConfigError(f"{name}: no such file." + (f" Did you mean: {close[0]}?" if close else ""))


def _yaml_names(folder: Path, shown_as: str) -> list[str]:
    """Names of the yaml files near a path: of a foreign folder only its own, of the shipped ones all."""
    pattern = "**/*.yaml" if folder == shipped_configs() else "*.y*ml"
    return sorted(str(Path(shown_as) / path.relative_to(folder)) for path in folder.glob(pattern))


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that a reader, or a crash, sees all of the old one or all of the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
