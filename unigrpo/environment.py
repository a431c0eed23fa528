"""What a run was made with: versions, machine, commit. Kept in its folder, so that a page about it can tell."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unigrpo import __version__
from unigrpo.config.files import PACKAGE, write_atomically

NAME = "environment.json"
PACKAGES = ("torch", "transformers", "ray", "numpy", "peft", "openrlhf", "deepspeed")
PATIENCE = 5.0
"""Seconds that git may take."""


def record(run: Path) -> None:
    """Adds this start to the run's environment.json, unless the one before it was made with the same."""
    file, now = run / NAME, here()
    starts = recorded(run)
    if starts[-1:] != [now]:
        write_atomically(file, json.dumps([*starts, now], indent=1) + "\n")


def recorded(run: Path) -> list[dict[str, Any]]:
    """What each start of a run was made with, the first one first; empty where nothing is known."""
    try:
        found = json.loads((run / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [start for start in found if isinstance(start, dict)] if isinstance(found, list) else []


def here() -> dict[str, Any]:
    """Versions, machine and commit of this process; no name of a host, of a user or of a folder."""
    return {
        "unigrpo": __version__,
        **_commit(),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        **_gpus(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """The commit of the checkout that the code runs from; nothing where it was installed."""
    root = PACKAGE.parent
    if not (root / ".git").exists():
        return {}
    head, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": head + (" with changes" if changed else "")} if head else {}


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _gpus() -> dict[str, Any]:
    """The GPUs that this process sees, where torch is loaded anyway."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"gpus": ", ".join(names)}
