"""Pages of pictures: rows of images with titles and captions, as PNG."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CELL, LINE, CAPTION = 1.35, 0.135, 24
"""Inches of a picture's side and of a line of its caption, and characters of such a line."""
DPI = 130


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    out: str | Path,
    *,
    row_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> None:
    """Draws rows of pictures; small ones are enlarged without smoothing.

    Args:
        rows: [H, W, 3] uint8 each; rows may differ in length.
        row_titles: one in front of each row.
        captions: one under each picture, wrapped.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    wrapped = [["\n".join(map(_wrap, caption.split("\n"))) for caption in row] for row in captions]
    lines = [max((caption.count("\n") + 1 for caption in row), default=0) for row in wrapped] or [0] * len(rows)
    heights = [CELL + LINE * (count + 2) for count in lines]
    columns = max(map(len, rows))
    figure = Figure(figsize=(CELL * 1.2 * columns + 0.5, sum(heights)), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for number, row in enumerate(rows):
        for column in range(columns):
            axis = axes[number][column]
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_anchor("N")
            axis.spines[:].set_visible(False)
            if column < len(row):
                axis.imshow(row[column], interpolation="nearest" if max(row[column].shape) < 256 else None)
            if wrapped and column < len(wrapped[number]):
                axis.set_xlabel(wrapped[number][column], fontsize=7, labelpad=2)
        if row_titles:
            axes[number][0].set_ylabel(row_titles[number], fontsize=9)
    FigureCanvasAgg(figure)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, format="png")


def _wrap(line: str) -> str:
    return "\n".join(textwrap.wrap(line, CAPTION))
