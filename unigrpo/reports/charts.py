"""Curves and pictures inside a page."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from unigrpo.report import SMOOTH_FROM, Points, smooth
from unigrpo.reports.series import shown, thinned
from unigrpo.reports.told import Chart, Legend, Picture

WIDTH, HEIGHT = 4.6, 2.7
LEFT, RIGHT, BOTTOM, TOP = 0.145, 0.98, 0.18, 0.89
LARGEST = 3_000_000
"""Bytes of a picture above which a page only names it."""
COLORS, DASHES = 10, ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
INK, RULE = "#0000f1", "#0000f2"
"""Stand for the page's own colours of text and of rules, as `#0000a0` and so on do for those of lines."""
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.family": "sans-serif", "text.parse_math": False}


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, its points, and how it is told from others."""

    name: str
    points: Points
    color: int = 0
    dash: int = 0


def lines_of(found: Mapping[str, Points]) -> list[Line]:
    """A line for each name, each in its own colour, and then with its own dashes."""
    return [Line(name, points, at % COLORS, at // COLORS) for at, (name, points) in enumerate(found.items())]


def chart(title: str, lines: Sequence[Line], unit: str, key: str = "") -> Chart:
    """A panel with axes; a long line also as its moving average. The same numbers give the same text.

    Args:
        unit: of the vertical axis.
        key: the metric, which decides how the last values are written; by default each line is named by its own.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Ids that no other chart of the page has: one that is folded away cannot be referred to.
    salt = repr((title, unit, [(line.name, line.points[1][:1], line.points[1][-1:]) for line in lines]))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(WIDTH, HEIGHT), facecolor="none")
        axis = figure.add_axes((LEFT, BOTTOM, RIGHT - LEFT, TOP - BOTTOM), facecolor="none")
        for line in lines:
            _draw(axis, line)
        _dress(axis, title, unit)
        file = BytesIO()
        FigureCanvasSVG(figure).print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    legend = [Legend(it.name, it.color, it.dash, shown(key or it.name, it.points[1][-1])) for it in lines]
    return Chart(title, _adopted(file.getvalue().decode(), title, legend), legend)


def _draw(axis, line: Line) -> None:
    look = {"color": f"#0000a{line.color}", "linestyle": DASHES[line.dash % len(DASHES)]}
    steps, values = line.points
    long = len(steps) >= SMOOTH_FROM
    dots = {} if long else {"marker": "o", "markersize": 3.5, "markeredgewidth": 0}
    axis.plot(*thinned(line.points), linewidth=1.4, gid="faint" if long else "plain", **look, **dots)
    if long:
        axis.plot(*thinned((steps, smooth(values))), linewidth=1.9, gid="smooth", **look)


def _dress(axis, title: str, unit: str) -> None:
    axis.set_title(title, loc="left", fontsize=10.5, color=INK)
    axis.set_xlabel("step", fontsize=9, color=INK)
    axis.set_ylabel(unit, fontsize=9, color=INK)
    axis.grid(color=RULE, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    for spine in axis.spines.values():
        spine.set_color(RULE)
    axis.tick_params(labelsize=8.5, labelcolor=INK, color=RULE)
    axis.ticklabel_format(style="sci", scilimits=(-3, 5))
    axis.xaxis.get_major_locator().set_params(integer=True)
    for offset in (axis.xaxis.get_offset_text(), axis.yaxis.get_offset_text()):
        offset.set(fontsize=8, color=INK)
    if unit.startswith("share solved"):
        axis.set_ylim(-0.02, 1.02)


def _adopted(svg: str, title: str, legend: Sequence[Legend]) -> str:
    """The SVG as a part of a page: no ids but those it refers to, classes for marks, and colours and font by name."""
    inside = svg[svg.index("<svg") :].split(">", 1)[1]
    inside = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", inside, flags=re.DOTALL)
    inside = re.sub(r' id="(faint|plain|smooth)"', r' class="\1"', inside)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', inside))
    inside = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", inside)
    inside = re.sub(r"#0000a(\d)", r"var(--c\1)", inside).replace(INK, "var(--ink)").replace(RULE, "var(--line)")
    inside = re.sub(r"\s*\n\s*", "\n", re.sub(r'font-family: [^;"]*;? ?', "", inside))
    told = escape(f"{title}. " + "; ".join(f"{line.name} ends at {line.last}" for line in legend))
    return f'<svg viewBox="0 0 {WIDTH * 72:g} {HEIGHT * 72:g}" role="img" aria-label="{told}">{inside}'


def picture(title: str, file: Path) -> Picture | None:
    """A PNG of a run; None where there is none, or it is too large for a page."""
    if not file.is_file() or file.stat().st_size > LARGEST:
        return None
    return Picture(title, address("png", file.read_bytes()))


def address(kind: str, content: bytes) -> str:
    """An image as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
