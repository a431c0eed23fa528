"""Tables of `unigrpo rewards`, for a terminal or as Markdown."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unigrpo.report import table
from unigrpo.tracking import printable

WIDTH = 160
"""Characters of a line where there is no terminal."""
MOST = 300
"""Characters of a cell."""


def render(title: str, rows: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Return rows as a table under its title; numbers are to the right, and a gap is left empty."""
    shown = [{key: _shown(value) for key, value in row.items()} for row in rows]
    if markdown:
        return f"**{title}**\n\n{table(shown)}"
    found = Table(title=title, title_justify="left", title_style="bold")
    columns = list(dict.fromkeys(key for row in shown for key in row))
    for key in columns:
        numbers = all(isinstance(row.get(key), int | float | None) for row in shown)
        found.add_column(key, justify="right" if numbers else "left", overflow="fold", no_wrap=numbers)
    for row in shown:
        found.add_row(*(Text(_cell(row.get(key))) for key in columns))
    outside = Console()
    console = Console(file=io.StringIO(), width=outside.width if outside.is_terminal else WIDTH)
    console.print(found)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _shown(value: Any) -> Any:
    return printable(value, MOST) if isinstance(value, str) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
