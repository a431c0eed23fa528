"""Solved rows in front of a prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from unigrpo.config import DataSection
from unigrpo.data.rows import Row, read_rows
from unigrpo.errors import DataError

Solved = Mapping[str, list[Row]]
"""Solved rows by what they have in common with the rows that they stand in front of."""


def with_shots(rows: Sequence[Row], section: DataSection) -> list[Row]:
    """Return rows that have the solved rows of `data.shots` before them, as turns; a row is never its own example.

    Raises:
        DataError: there are too few of them, or a row has not the column by which they are chosen.
    """
    if section.shots is None:
        return list(rows)
    solved = solved_rows(section)
    return [after_shots(row, solved, section) for row in rows]


def solved_rows(section: DataSection) -> Solved:
    """Return the rows of `data.shots` by the column that they are chosen by.

    Raises:
        DataError: one of them cannot be used.
    """
    shots = section.shots
    assert shots is not None
    plain = replace(section, path=shots.path, split=shots.split, shots=None, limit=None)
    solved: dict[str, list[Row]] = {}
    for row in read_rows(plain):
        solved.setdefault(_kind(row, shots.by), []).append(row)
    return solved


def after_shots(row: Row, solved: Solved, section: DataSection) -> Row:
    """Return a row behind its solved ones, as `with_shots` does."""
    return replace(row, history=_before(row, solved, section))


def _kind(row: Row, by: str | None) -> str:
    if by is None:
        return ""
    if by not in row.metadata:
        have = ", ".join(row.metadata) or "none"
        raise DataError(f"{row.where}: data.shots.by is {by!r}, but the row's other columns are: {have}.")
    return str(row.metadata[by])


def _before(row: Row, solved: Solved, section: DataSection) -> tuple[tuple[str, str], ...]:
    assert section.shots is not None
    kind, count = _kind(row, section.shots.by), section.shots.count
    found = [other for other in solved.get(kind, []) if other.prompt != row.prompt][:count]
    if len(found) < count:
        of_kind = f" with {section.shots.by} {kind!r}" if section.shots.by else ""
        raise DataError(
            f"{section.shots.path or section.source} has {len(found)} other rows{of_kind} to put in front of "
            f"{row.where}, but data.shots.count is {count}: set it to {len(found)}, or give more."
        )
    return (*row.history, *(turn for other in found for turn in _turns(other)))


def _turns(row: Row) -> tuple[tuple[str, str], tuple[str, str]]:
    said = row.response or row.answer
    if said is None:
        raise DataError(f"{row.where}: a solved row needs a response or an answer. Fill it, or remove the row.")
    return ("user", row.prompt), ("assistant", said)
