"""Checkpoints that appear whole or not at all, and are checked before they are used.

A run's folder holds `checkpoint-N/` with a Hugging Face model folder, `optimizer.safetensors`, `state.json` (step, data
position, best score) and `manifest.json` (the SHA-256 of every file).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from unigrpo.errors import CheckpointError

MANIFEST = "manifest.json"
STATE = "state.json"


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    found = [path for path in run.glob("checkpoint-*") if path.suffix != ".tmp" and path.name[11:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(folder: Path, write: Callable[[Path], None]) -> Path:
    """Lets `write` fill a temporary folder, then gives it its name: written, flushed, renamed."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    for path in (*temporary.rglob("*"), temporary):
        _sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    temporary.rename(folder)
    _sync(folder.parent)
    return folder


def save(run: Path, step: int, write: Callable[[Path], None], state: dict, keep: int) -> Path:
    """Saves a checkpoint after `step` steps and then drops the oldest ones over `keep`.

    Args:
        write: writes model and optimiser into the folder it is given.
        state: what else the run needs to go on; JSON.
    """

    def fill(folder: Path) -> None:
        write(folder)
        (folder / STATE).write_text(json.dumps({"step": step} | state, indent=2))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        manifest = {str(path.relative_to(folder)): _digest(path) for path in files}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))

    folder = publish(run / f"checkpoint-{step}", fill)
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return folder


def verify(folder: Path) -> dict:
    """Checks every file of a checkpoint against its manifest and returns the run state.

    Raises:
        CheckpointError: a file is missing, or is not what was written.
    """
    advice = "Delete this folder to go on from the checkpoint before it, or start again with overwrite=true."
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if not isinstance(manifest, dict):
            raise ValueError("it holds no JSON object")
        for name, digest in manifest.items():
            if _digest(folder / name) != digest:
                raise CheckpointError(f"{folder / name} is not the file that was saved: its checksum differs. {advice}")
        return json.loads((folder / STATE).read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing from the checkpoint. {advice}") from error
    except ValueError as error:
        raise CheckpointError(f"{folder / MANIFEST} cannot be read: {error}. {advice}") from error


def latest(run: Path) -> tuple[Path, dict] | None:
    """The newest checkpoint and its run state, verified; None when there is none."""
    found = checkpoints(run)
    return (found[-1], verify(found[-1])) if found else None
