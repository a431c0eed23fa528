"""`unigrpo demo RUN [RUN]`."""

import importlib.util
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from PIL import Image

from unigrpo.cli.target import expand, section_asked
from unigrpo.cli.verbs import VERBS
from unigrpo.config import DemoConfig, GenerateConfig
from unigrpo.config.demo import PAGE
from unigrpo.config.load import load_config
from unigrpo.config.source import read_args, settings
from unigrpo.data.images import read_image
from unigrpo.data.rows import Row, iter_rows
from unigrpo.errors import MissingExtraError, UniGRPOError
from unigrpo.machine import set_threads
from unigrpo.types import TASKS, Task

EXAMPLES = 4


def run(args: list[str]) -> int:
    """Loads the models, and shows the page until it is interrupted."""
    with tempfile.TemporaryDirectory(prefix="unigrpo-demo-") as place, shown(args, Path(place)) as address:
        print(f"{address}  Stop with Ctrl-C.", flush=True)
        _wait()
    return 0


@contextmanager
def shown(args: list[str], place: Path) -> Iterator[str]:
    """Serves the page while the block runs, and gives its address.

    Args:
        place: a folder for the pictures of examples.
    """
    verb = VERBS["demo"]
    config: DemoConfig = verb.checked(args)
    _need_gradio()
    from unigrpo.demo.models import load_model
    from unigrpo.demo.page import build, free_port, serve

    port = free_port(config.host, config.port)
    set_threads(config.cluster.threads)
    folders = [folder for folder in (config.model.path, config.compare) if folder]
    given = _given(verb.spelled(args))
    names = names_of([Path(folder) for folder in folders])
    models = [
        load_model(name, {task: asks_of(folder, task, given) for task in TASKS})
        for name, folder in zip(names, folders, strict=True)
    ]
    blocks = build(models, examples(folders[-1], place), config.seed)
    address = serve(blocks, config, port)
    try:
        yield address
    finally:
        blocks.close(verbose=False)


def _need_gradio() -> None:
    """Makes sure that gradio is there, and tells nobody that it is used.

    Raises:
        MissingExtraError: it is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise MissingExtraError("`unigrpo demo` needs gradio, which is not installed: pip install 'unigrpo[demo]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def _given(args: list[str]) -> dict[str, Any]:
    """What was set, by dotted key, without what is the page's alone."""
    found = {}
    for source in read_args(DemoConfig, args):
        found |= {".".join(path): value for path, value in settings(DemoConfig, source.values)}
    return {key: value for key, value in found.items() if key not in (*PAGE, "model.path")}


def asks_of(folder: str, task: Task, given: dict[str, Any]) -> GenerateConfig:
    """How `unigrpo generate FOLDER task=TASK` would ask, with what was set; also about a picture, that comes later."""
    section = section_asked(Path(folder), task)
    asked = {"task": task} | ({"fit": section.fit} if section else {}) | given
    rest = [f"{key}={json.dumps(value)}" for key, value in asked.items()]
    return load_config(GenerateConfig, expand([folder, *rest], "generate"))


def names_of(folders: list[Path]) -> list[str]:
    """What models are called: their folder, or more of its path where that says nothing or they are alike."""
    parts = [[part for part in folder.absolute().parts if part not in ("model", "/")] for folder in folders]
    length = 1
    while len({tuple(part[-length:]) for part in parts}) < len(parts) and length < max(map(len, parts)):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def examples(folder: str, place: Path) -> dict[str, list[Any]]:
    """Some prompts that a run was made for, by the title of the tab; none where they cannot be had.

    Args:
        place: a folder for their pictures.
    """
    from unigrpo.demo.asked import KINDS
    from unigrpo.demo.tabs import Example

    found = {}
    for kind in KINDS:
        try:
            rows = _rows(folder, kind.task)
            pictures = [_saved(row, place) for row in rows] if kind.looks or kind.paints else [None] * len(rows)
        except UniGRPOError:
            continue  # a run's data may be gone, and a page without examples is a page
        if all(pictures) or not (kind.looks or kind.paints):
            pairs = zip(rows, pictures, strict=True)
            found[kind.title] = [Example(row.prompt, picture) for row, picture in pairs]
    return found


def _rows(folder: str, task: Task) -> list[Row]:
    section = section_asked(Path(folder), task)
    return list(islice(iter_rows(section), EXAMPLES)) if section else []


def _saved(row: Row, place: Path) -> Path | None:
    if row.image is None:
        return None
    path = place / f"{len(list(place.iterdir()))}.png"
    Image.fromarray(read_image(row.image, row.where)).save(path)
    return path


def _wait() -> None:
    """Returns when the process is interrupted or told to end."""
    over = Event()
    before = {number: signal.signal(number, lambda *_: over.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    over.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
