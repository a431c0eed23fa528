import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rewards.judge.judge import Judge
from tests.ports import free_port
from tests.rewards.judge.server import ChatServer

CHOICES = {"A": 1, "B": 0}
RUBRIC = "The task: {prompt}\nThe response: {response}\nIs it right?"


@pytest.fixture
def serve():
    """Start a server in a thread; keyword arguments are its own."""
    with contextlib.ExitStack() as stack:

        def start(**settings) -> ChatServer:
            server = stack.enter_context(ChatServer(**settings))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def judge():
    """Make a judge that asks a server, or an address; keyword arguments are its settings."""

    def make(server: ChatServer | str, **settings) -> Judge:
        url = server if isinstance(server, str) else server.url
        kind = {} if "number" in settings else {"choices": CHOICES}
        fixed = {"base_url": url, "model": "judge", "rubric": RUBRIC, "timeout": 5.0, "patience": 3.0}
        return Judge(**{**fixed, **kind, **settings})

    return make


@pytest.fixture
def scores():
    """Ask a judge about several responses at once."""

    def ask(judge: Judge, *responses: str):
        async def every():
            return await asyncio.gather(*(judge(prompt="6*7=", response=response) for response in responses))

        return asyncio.run(every())

    return ask


@pytest.fixture(name="free_port")
def one_free_port() -> int:
    return free_port()


@pytest.fixture
def spawn():
    """Start a server in a process of its own, and return what kills it: `kill -9`, and no goodbye."""
    running: list[subprocess.Popen] = []

    def start(port: int, delay: float):
        script = Path(__file__).with_name("server.py")
        running.append(child := subprocess.Popen([sys.executable, script, str(port), str(delay)]))

        def kill():
            os.kill(child.pid, signal.SIGKILL)
            child.wait()

        return kill

    yield start
    for child in running:
        child.kill()
        child.wait()
