"""Texts that say the same: all pairs whose sets of word sequences overlap by a share, found exactly.

Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins": two sets can only overlap so
much when the rarest elements of each, so many of them, have one in common.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"\w+|[^\w\s]")
Shingles = frozenset[int]


def words(text: str) -> list[str]:
    """Return the words and signs of a text, whatever its case and white space."""
    return _WORD.findall(text.casefold())


def shingles(text: str, size: int) -> Shingles:
    """Return hashes of all sequences of `size` words; a shorter text is one sequence."""
    found = words(text)
    parts = (found[at : at + size] for at in range(max(1, len(found) - size + 1)))
    return frozenset(_hash(" ".join(part)) for part in parts)


def overlap(one: Shingles, other: Shingles) -> float:
    """Return the share of the elements of either set that are in both (Jaccard)."""
    return len(one & other) / len(one | other) if one or other else 1.0


def pairs(sets: Sequence[Shingles], least: float) -> Iterator[tuple[int, int]]:
    """Yield the places of every two sets that overlap by at least a share, the later one first, in order."""
    often = Counter(element for one in sets for element in one)
    index: dict[int, list[int]] = {}
    for place, one in enumerate(sets):
        rare = sorted(one, key=lambda element: (often[element], element))
        prefix = rare[: len(rare) - math.ceil(least * len(rare) - 1e-9) + 1]
        shared = [element for element in prefix if often[element] > 1]
        near = {other for element in shared for other in index.get(element, ())}
        yield from ((place, other) for other in sorted(near) if overlap(one, sets[other]) >= least)
        for element in shared:
            index.setdefault(element, []).append(place)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
