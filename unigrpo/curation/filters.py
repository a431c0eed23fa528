"""Which right answers are worth learning from. A filter takes rows and returns those that stay, in the same order."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from unigrpo.config import FilterSection
from unigrpo.curation.duplicates import overlap, pairs, shingles, words
from unigrpo.curation.requests import Request
from unigrpo.curation.verify import Verdict


@dataclass(frozen=True)
class Right:
    """A right answer."""

    request: Request
    response: str
    verdict: Verdict
    pass_rate: float
    """Share of the answers to its prompt that are right."""

    @property
    def prompt(self) -> str:
        """The id of its prompt."""
        return self.request.row.id


Length = Callable[[str], int]
"""Tokens of a response."""


def sift(
    rows: Sequence[Right], section: FilterSection, seed: int, length: Length | None
) -> tuple[list[Right], Counter[str]]:
    """Return the rows that are kept, and how many were left out, by the reason."""
    left_out: Counter[str] = Counter()
    steps: list[tuple[str, Callable[[list[Right]], list[Right]]]] = [
        ("too_hard", lambda them: [one for one in them if one.pass_rate >= section.min_pass]),
        ("too_easy", lambda them: [one for one in them if one.pass_rate <= section.max_pass]),
        ("too_long", lambda them: [one for one in them if _short_enough(one.response, section, length)]),
        ("duplicate", unequal),
        ("near_duplicate", lambda them: distinct(them, section)),
        ("beyond_per_prompt", lambda them: first_ones(them, section.per_prompt)),
        ("balance", lambda them: balanced(them, section, seed)),
    ]
    kept = list(rows)
    for reason, step in steps:
        before, kept = len(kept), step(kept)
        if before > len(kept):
            left_out[reason] = before - len(kept)
    return kept, left_out


def _short_enough(response: str, section: FilterSection, length: Length | None) -> bool:
    if section.max_characters is not None and len(response) > section.max_characters:
        return False
    return length is None or section.max_tokens is None or length(response) <= section.max_tokens


def unequal(rows: Sequence[Right]) -> list[Right]:
    """Leave out what says word for word what an earlier row says, to the same prompt about the same picture."""
    first: dict[Any, Right] = {}
    for one in rows:
        first.setdefault((one.request.picture, tuple(words(one.request.row.prompt)), tuple(words(one.response))), one)
    return list(first.values())


def distinct(rows: Sequence[Right], section: FilterSection) -> list[Right]:
    """Leave out what says nearly what an earlier row says that stays."""
    least = section.near
    if least is None:
        return list(rows)
    responses = [shingles(one.response, section.ngram) for one in rows]
    prompts = {one.prompt: shingles(one.request.row.prompt, section.ngram) for one in rows}
    out: set[int] = set()
    for later, earlier in pairs(responses, least):
        one, other = rows[later], rows[earlier]
        asked = overlap(prompts[one.prompt], prompts[other.prompt])
        if earlier not in out and one.request.picture == other.request.picture and asked >= least:
            out.add(later)
    return [one for place, one in enumerate(rows) if place not in out]


def first_ones(rows: Sequence[Right], most: int | None) -> list[Right]:
    """Leave out what comes after so many rows of the same prompt."""
    seen: Counter[str] = Counter()
    kept = []
    for one in rows:
        seen[one.prompt] += 1
        if most is None or seen[one.prompt] <= most:
            kept.append(one)
    return kept


def balanced(rows: Sequence[Right], section: FilterSection, seed: int) -> list[Right]:
    """Make every group at most `ratio` times as large as the smallest; chance decides which of its rows stay."""
    if section.balance is None or not rows:
        return list(rows)
    groups: dict[Any, list[int]] = {}
    for place, one in enumerate(rows):
        groups.setdefault(group_of(one, section), []).append(place)
    most = int(section.ratio * min(map(len, groups.values())))
    chosen = {
        place for own in groups.values() for place in sorted(own, key=lambda place: _lot(rows[place], seed))[:most]
    }
    return [one for place, one in enumerate(rows) if place in chosen]


def group_of(one: Right, section: FilterSection) -> Any:
    """Return the group that a row is balanced in: its value of a column, or its part of the pass rates."""
    if section.balance == "pass_rate":
        return ceil(one.pass_rate * section.bins - 1e-9)
    return str(one.request.row.metadata[section.balance or ""])


def groups_of(rows: Sequence[Right], section: FilterSection) -> Mapping[str, int]:
    """Return how many rows each group has, those that are balanced."""
    return Counter(str(group_of(one, section)) for one in rows) if section.balance else {}


def _lot(one: Right, seed: int) -> bytes:
    """A draw that depends on nothing but the row, so that more data moves no other."""
    return hashlib.sha256(f"{seed}/{one.prompt}/{one.request.sample}".encode()).digest()
