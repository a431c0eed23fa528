"""Checkpoints that appear whole or not at all, and are checked before they are used.

A run's folder holds `checkpoint-N/` with a Hugging Face model folder, `optimizer.safetensors`, `state.json` (step, data
position, score) and `manifest.json` (the SHA-256 of every file).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from unigrpo.errors import CheckpointError
from unigrpo.progress import console

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
    """Lets `write` fill a temporary folder, then gives it its name: written, flushed, renamed.

    A folder that has the name already goes only after the new one has it.
    """
    temporary, former = folder.with_name(folder.name + ".tmp"), folder.with_name(folder.name + ".old.tmp")
    if former.exists() and not folder.exists():
        former.rename(folder)
    for left in (temporary, former):
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)  # on a full disk its room is needed
        raise
    for path in (*temporary.rglob("*"), temporary):
        _sync(path)
    if folder.exists():
        folder.rename(former)
    temporary.rename(folder)
    _sync(folder.parent)
    shutil.rmtree(former, ignore_errors=True)
    return folder


def save(run: Path, step: int, write: Callable[[Path], None], state: dict, keep: int) -> Path:
    """Saves a checkpoint after `step` steps and then drops the oldest ones over `keep`, but never the best.

    Args:
        write: writes model and optimiser into the folder it is given.
        state: what else the run needs to go on; JSON. A `score`, higher being better, says which one is the best.
    """

    def fill(folder: Path) -> None:
        write(folder)
        (folder / STATE).write_text(json.dumps({"step": step} | state, indent=2))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        manifest = {str(path.relative_to(folder)): _digest(path) for path in files}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))

    folder = publish(run / f"checkpoint-{step}", fill)
    found = checkpoints(run)
    for old in found[:-keep]:
        if old != best(found):
            shutil.rmtree(old)
    return folder


def best(found: Sequence[Path]) -> Path | None:
    """The checkpoint with the highest score, the newest of several; None when none has a score."""
    scored = [(score, folder) for folder in found if (score := _score(folder)) is not None]
    return max(reversed(scored), key=lambda pair: pair[0])[1] if scored else None


def _score(folder: Path) -> float | None:
    try:
        return json.loads((folder / STATE).read_text()).get("score")
    except (OSError, ValueError, AttributeError):
        return None


def verify(folder: Path) -> dict:
    """Checks every file of a checkpoint against its manifest and returns the run state.

    Raises:
        CheckpointError: a file is missing, or is not what was written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if not isinstance(manifest, dict):
            raise ValueError("it holds no JSON object")
        for name, digest in manifest.items():
            if _digest(folder / name) != digest:
                raise CheckpointError(f"{folder / name} is not the file that was saved: its checksum differs.")
        return json.loads((folder / STATE).read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing from the checkpoint.") from error
    except ValueError as error:
        raise CheckpointError(f"{folder / MANIFEST} cannot be read: {error}.") from error


def latest(run: Path) -> tuple[Path, dict] | None:
    """The newest checkpoint that is whole, and its run state; None when there is none at all.

    One that is damaged is named on standard error, and passed over.

    Raises:
        CheckpointError: there are some, and all are damaged.
    """
    damage = []
    for folder in reversed(checkpoints(run)):
        try:
            found = folder, verify(folder)
        except CheckpointError as error:
            damage.append(error)
            continue
        for error in damage:
            console.print(f"Passed over: {error}", markup=False, highlight=False, soft_wrap=True)
        return found
    if damage:
        raise CheckpointError(f"{damage[0]} No checkpoint of this run is whole: start again with overwrite=true.")
    return None
