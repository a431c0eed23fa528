"""One HTML file about several runs, which needs no network and no other file."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from unigrpo.config.files import write_atomically
from unigrpo.reports.told import Comparison, Section

TEMPLATES = Path(__file__).parent / "page"
GENERATOR = '<meta name="generator" content="unigrpo">'
"""Marks a page as ours, so that no other file is replaced by one."""


def write_page(path: Path, title: str, sections: Sequence[Section], compared: Comparison | None = None) -> None:
    """Writes the page; all text in it is taken for text and never for HTML, and no script runs but its own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    # Of all scripts that text of a run may ever smuggle in, the browser runs the one with this digest.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("page.html").render(
        title=title,
        sections=sections,
        compared=compared,
        generator=GENERATOR,
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=digest,
    )
    write_atomically(path, page + "\n")


def is_ours(path: Path) -> bool:
    """Whether a file is a page that was written here."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return GENERATOR in file.read(1000)
