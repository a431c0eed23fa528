import contextlib
import json
import random
import threading
from pathlib import Path

import pytest

from tests.curation.server import TeacherServer
from unigrpo.config import CurateConfig
from unigrpo.config.check import check_curate
from unigrpo.config.load import load_config
from unigrpo.curation.loop import curate
from unigrpo.curation.summary import Summary


@pytest.fixture
def serve():
    """Start a teacher in a thread; keyword arguments are its own."""
    with contextlib.ExitStack() as stack:

        def start(**settings) -> TeacherServer:
            server = stack.enter_context(TeacherServer(**settings))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def server(serve):
    return serve()


def sums(count: int) -> list[dict[str, str]]:
    """Different sums, with their answers."""
    draw = random.Random(0)
    drawn = draw.sample([(a, b) for a in range(10, 99) for b in range(10, 99)], count)
    return [{"id": f"sum-{a}-{b}", "prompt": f"{a}+{b}=", "answer": str(a + b)} for a, b in drawn]


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def arguments(tmp_path):
    """The arguments of a curation of sums by a server, into `tmp_path / 'out'`."""

    def make(server: TeacherServer | str, rows: list[dict], *more: str) -> list[str]:
        url = server if isinstance(server, str) else server.url
        data = write_rows(tmp_path / "sums.jsonl", rows)
        fixed = ["teacher.model=adder", "filter.near=null", *(["teacher.patience=2"] if url != "null" else [])]
        if not any(word.startswith("keep=") for word in more):
            fixed += ["rewards.exact_match.weight=1"]
        return [f"teacher.base_url={url}", f"data.path={data}", f"output={tmp_path / 'out'}", *fixed, *more]

    return make


@pytest.fixture
def run(arguments):
    """Curate sums by a server, and return the summary."""

    def call(server: TeacherServer | str, rows: list[dict], *more: str) -> Summary:
        config = load_config(CurateConfig, arguments(server, rows, *more))
        check_curate(config)
        return curate(config)

    return call
