"""A working folder to submit from, and what a job of it would get."""

from pathlib import Path

from unigrpo.cli.submit_files import gather
from unigrpo.cli.submit_paths import Places, for_job
from unigrpo.cli.verbs import VERBS

TINY = ["model.preset=tiny", "data.source=arithmetic"]
MINE = ["rewards.mine.path=mine.py:mine"]
REWARD = "def mine(response, scale=1):\n    return float(len(response))\n"


def write(path: Path, content: str | int = 1) -> Path:
    """A text file, or one of so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * content if isinstance(content, int) else content.encode())
    return path


def upload(folder, *excludes, output="runs/train"):
    return gather(folder, excludes, folder / output)


def job_config(folder, verb, *args):
    """The settings that a job would get, and what the user is told of them."""
    config = VERBS[verb].checked(list(args))
    places = Places(upload(folder, output=config.output))
    return for_job(config, places), list(places.notes.values())
