"""What the README and the guides show: commands, other code, links."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from unigrpo.cli.packages import HOME

SHELL = ("", "bash", "sh")
"""Languages of fences that hold commands; what a command prints is `text`."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """One line that a reader may paste into a shell."""

    page: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"

    @property
    def words(self) -> list[str]:
        """Its words, without variables, `uv run` and `python -m` in front."""
        words = shlex.split(self.text)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        for prefix in (["uv", "run"], ["python", "-m"]):
            words = words[2:] if words[:2] == prefix else words
        return words


@cache
def pages() -> tuple[str, ...]:
    """All pages, from the project's folder."""
    return ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (HOME / "docs").glob("*.md")))


@cache
def text_of(page: str) -> str:
    """The text of a page."""
    return Path(HOME, page).read_text()


def fences(page: str, *languages: str) -> list[tuple[int, str]]:
    """First line and text of the fences in these languages."""
    text = text_of(page)
    return [(text.count("\n", 0, m.start(2)) + 1, m[2]) for m in FENCE.finditer(text) if m[1] in languages]


def commands(page: str) -> list[Command]:
    """Every command of a page's fences, in order."""
    found = []
    for first, text in fences(page, *SHELL):
        line, whole = first, ""
        for number, part in enumerate(text.splitlines(), first):
            line = number if not whole else line
            whole += part.removesuffix("\\")
            if not part.endswith("\\"):
                found += [Command(page, line, command) for command in _parts(whole)]
                whole = ""
    return found


def _parts(line: str) -> list[str]:
    """The commands of a line, without its comment."""
    bare = re.sub(r"(^|\s)#.*$", "", line).strip().removesuffix("&")
    return [" ".join(part.split()) for part in bare.split("&&") if part.strip()]


def inline_commands(page: str) -> list[Command]:
    """Every command in the middle of a sentence or in a table, that begins with a program of this project."""
    text = FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text_of(page))
    starts = r"(uv run |[A-Z_]+=\S+ )*(unigrpo|python|pytest|ray) \S|scripts/\S+\.sh"
    return [
        Command(page, text.count("\n", 0, m.start()) + 1, m[1].replace(r"\|", "|"))
        for m in INLINE.finditer(text)
        if re.match(starts, m[1])
    ]
