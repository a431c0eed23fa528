"""A reader who tries every command of a page, in its order and in one folder."""

import ast
import subprocess
import time
from pathlib import Path

import pytest

from tests.docs.pages import Command, commands, pages
from tests.docs.treatments import TINY, TREATMENTS, Checked, Run, Shown
from tests.docs.worlds import WORLDS
from unigrpo.cli import submit
from unigrpo.cli.main import main
from unigrpo.cli.packages import HOME
from unigrpo.cli.verbs import VERBS
from unigrpo.errors import UniGRPOError


def key_of(command: Command) -> str:
    """What it is called in `TREATMENTS`."""
    return command.text.replace("'", "")


def first_page(command: Command) -> str:
    """The page on which it is tried; a command that two pages show is tried on the first of them."""
    return next(page for page in pages() if any(key_of(other) == key_of(command) for other in commands(page)))


def treatment(command: Command) -> Run | Checked | Shown | None:
    """How it is tried; None when nobody has said so."""
    if found := TREATMENTS.get(key_of(command)):
        return found
    words = command.words
    return Run(TINY[words[1]]) if words[0] == "unigrpo" and words[1] in TINY else None


def play(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries the commands of a page."""
    monkeypatch.chdir(folder)
    WORLDS.get(page, lambda: None)()
    for command in commands(page):
        if first_page(command) == page:
            started = time.perf_counter()
            attempt(command)
            print(f"{time.perf_counter() - started:6.1f} s  {command.place}  {command.text}")


def attempt(command: Command) -> None:
    """Runs or checks one command."""
    how = treatment(command)
    if how is None:
        pytest.fail(f"{command.place}: nobody says how `{command.text}` is tried: add it to tests/docs/treatments.py.")
    if isinstance(how, Run):
        words = [word for word in command.words[1:] if word not in how.without]
        words += how.more
        assert main(words) == 0, f"{command.place}: unigrpo {' '.join(words)}"
    elif isinstance(how, Checked):
        check(command, [*command.words[1:], *how.more])
    else:
        look(command)


def check(command: Command, words: list[str]) -> None:
    """The settings are those of the verb, and it would accept them."""
    try:
        if words[0] == "submit":
            submit.job_of(submit.parse(words[1:])[1])
        elif VERBS[words[0]].schema is None:
            assert len(words) == len(VERBS[words[0]].usage.split())
        else:
            VERBS[words[0]].checked(words[1:])
    except UniGRPOError as error:
        pytest.fail(f"{command.place}: {error}")


def look(command: Command) -> None:
    """It is valid shell; a script in it exists, is valid itself, and has the options that it is given."""
    assert subprocess.run(["bash", "-nc", command.text]).returncode == 0, command.place
    for name in (word for word in command.words if word.startswith("scripts/")):
        script = HOME / name
        assert script.exists(), f"{command.place}: there is no {name}"
        if script.suffix in (".sh", ".sbatch"):
            assert subprocess.run(["bash", "-n", script]).returncode == 0, name
        elif script.suffix == ".py":
            given = {word for word in command.words if word.startswith("--")}
            assert given <= options_of(script), f"{command.place}: {name} has no {given - options_of(script)}"


def options_of(script: Path) -> set[str]:
    """The options that a script declares to argparse."""
    calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
    names = [arg for call in calls if getattr(call.func, "attr", "") == "add_argument" for arg in call.args]
    return {str(arg.value) for arg in names if isinstance(arg, ast.Constant) and str(arg.value).startswith("--")}
