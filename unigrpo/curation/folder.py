"""The folder of curated data: what of an earlier call may be replaced."""

import os
from dataclasses import replace
from pathlib import Path

from unigrpo.config import CurateConfig
from unigrpo.config.load import diff, load_config, save_config
from unigrpo.curation.requests import engine_of
from unigrpo.errors import ConfigError
from unigrpo.runs import CONFIG, MARK

FREE = {
    *("output", "overwrite", "max_failed", "teacher.base_url", "teacher.api_key_env", "teacher.python"),
    *("teacher.max_concurrency", "teacher.timeout", "teacher.patience", "teacher.price_in", "teacher.price_out"),
}
"""Settings on which the data does not depend."""


def check_folder(config: CurateConfig) -> None:
    """Make sure that `open_folder` would do, and change nothing.

    Raises:
        ConfigError: the data in the folder were made with other settings, or the folder is none of ours, or closed.
    """
    folder = Path(config.output)
    saved, data = folder / CONFIG, folder / config.file
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(saved):
        raise ConfigError(f"{folder} is not empty and holds no curated data of ours: name another output=")
    if data.exists() and not config.overwrite:
        changed = diff(_comparable(load_config(CurateConfig, [str(saved)])), _comparable(config))
        words = ", ".join(f"{key} was {old} and is {new}" for key, (old, new) in changed.items() if key not in FREE)
        if words:
            raise ConfigError(
                f"{data} was made with other settings: {words}. Add overwrite=true to replace it, or name another "
                "output= (what the teacher said is kept)."
            )
    around = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not around.is_dir() or not os.access(around, os.W_OK | os.X_OK):
        raise ConfigError(f"output={folder} cannot be written: name another output=")


def open_folder(config: CurateConfig) -> Path:
    """Make the folder and mark it as ours, or open it again. Call it after all checks."""
    check_folder(config)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONFIG).exists():
        save_settings(config, folder)
    return folder


def save_settings(config: CurateConfig, folder: Path) -> None:
    """Say with which settings the data in the folder are made. Call it when they are there to be written."""
    save_config(replace(config, overwrite=False), folder / CONFIG)


def _comparable(config: CurateConfig) -> CurateConfig:
    return replace(config, teacher=replace(config.teacher, engine=engine_of(config.teacher)))


def _is_ours(saved: Path) -> bool:
    return saved.is_file() and saved.read_text(encoding="utf-8", errors="replace").startswith(f"{MARK}curate ")
