"""Sudoku: fill the grid so that no row, column or box holds a number twice, and keep what was given."""

import re
from collections.abc import Sequence
from math import isqrt
from typing import Any

from rewards.extract import answer_part
from rewards.registry import reward
from unigrpo.errors import ConfigError, DataError

SIZES = (4, 9)
"""Cells of a side."""
BLANKS = "0._"

_PUZZLE_SEPARATORS = re.compile(r"[\s|+,;\[\]'\"-]")
_GRID = re.compile(r"[0-9](?:[\s|+,;\[\]-]*[0-9])*")


def check_partial(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless `partial` is from 0 to 1."""
    value = settings.get("partial", 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"rewards.sudoku.args.partial is {value!r}: set it to a number from 0 to 1.")


@reward("sudoku", tasks=("text",), check=check_partial)
def sudoku(
    response: str, puzzle: str | Sequence, solution: str | Sequence | None = None, partial: float = 0.0
) -> float:
    """Return 1 when the answer part solves the puzzle by the rules of the game, whichever solution it is, else 0.

    The grid is the last run of numbers in the answer part, which may stand in lines and between `|`, `-`, `+` or `,`.

    Args:
        puzzle: a column: 16 or 81 cells from left to right and from top to bottom, blank ones `0`, `.` or `_`.
        solution: a column, needed for `partial` only.
        partial: what a grid that does not solve the puzzle earns if all its blank cells are as in `solution`; else the
            share of them that are. Cells that were given earn nothing, and a changed one costs everything.
    """
    given = _cells("puzzle", puzzle)
    filled = _grid(response, len(given))
    if partial and solution is None:
        raise DataError("rewards.sudoku.args.partial needs the column `solution`: add it, or set partial to 0.")
    if filled is None or any(g not in ("0", f) for g, f in zip(given, filled, strict=True)):
        return 0.0
    if _valid(filled):
        return 1.0
    return partial * _share(given, filled, _cells("solution", solution)) if partial else 0.0


def _grid(response: str, cells: int) -> str | None:
    """Return the digits of the last run in the answer part, if they fill a grid."""
    runs = _GRID.findall(answer_part(response) or "")
    digits = "".join(re.findall("[0-9]", runs[-1])) if runs else ""
    return digits if len(digits) == cells else None


def _valid(filled: str) -> bool:
    side = isqrt(len(filled))
    box = isqrt(side)
    want = {str(number) for number in range(1, side + 1)}
    rows = [filled[side * row : side * (row + 1)] for row in range(side)]
    columns = [filled[column::side] for column in range(side)]
    boxes = [
        "".join(row[across : across + box] for row in rows[down : down + box])
        for down in range(0, side, box)
        for across in range(0, side, box)
    ]
    return all(set(part) == want for part in rows + columns + boxes)


def _share(given: str, filled: str, solution: str) -> float:
    if len(solution) != len(given):
        raise DataError(
            f"sudoku: `solution` has {len(solution)} cells, but `puzzle` has {len(given)}: correct the data."
        )
    right = [f == s for g, f, s in zip(given, filled, solution, strict=True) if g == "0"]
    return sum(right) / max(len(right), 1)


def _cells(column: str, value: Any) -> str:
    """Return the cells of a column of the data as digits, 0 for a blank one."""
    text = value if isinstance(value, str) else _flat(value)
    cells = _PUZZLE_SEPARATORS.sub("", text)
    for blank in BLANKS:
        cells = cells.replace(blank, "0")
    side = isqrt(len(cells))
    if side not in SIZES or side * side != len(cells) or not set(cells) <= set("0123456789"[: side + 1]):
        raise DataError(
            f"sudoku: `{column}` is {value!r:.200}, but takes 16 cells of 1 to 4 or 81 of 1 to 9, with 0, . or _ for a "
            "blank one, as text (a number loses its leading zeros): correct the data."
        )
    return cells


def _flat(value: Any) -> str:
    """Return the cells of a list, or of a list of rows."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_flat(part) for part in value)
    return "0" if value is None else str(value)
