"""A checker of pictures of flat shapes on a light ground: is what was asked for there?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rewards.geneval import Found, Wanted, read, share
from rewards.registry import reward
from rewards.segments import UNKNOWN, parse
from unigrpo.types import DRAWING


@reward("shapes", tasks=DRAWING)
def shapes(
    image: np.ndarray,
    include: Sequence[Mapping[str, Any]],
    exclude: Sequence[Mapping[str, Any]] | None = None,
    strict: bool = False,
) -> float:
    """Return the share of what was asked for that is in the picture, 1 only when all of it is.

    Args:
        image: [H, W, 3] uint8.
        include: what must be seen, in GenEval's layout. A class is circle, square, triangle, or `shape` for any of
            them; a position may also be `["in", "top left"]`.
        exclude: what must not be seen; the class `object` is whatever there is, of a known shape or not.
        strict: 1 for all and 0 for less, as GenEval, instead of the share.
    """
    width, height = image.shape[1], image.shape[0]
    value = share(read(include, "include"), read(exclude, "exclude"), parse(image), best, (width, height))
    return float(value == 1) if strict else value


def best(include: Sequence[Wanted], found: Sequence[Found]) -> list[list[Found]]:
    """Give each object to one entry at most: exact matches first, entries that fewest objects match before others.

    What has no shape stands for nothing, so that paint alone earns nothing.
    """
    free = [item for item in found if item.name != UNKNOWN]
    groups: list[list[Found]] = [[] for _ in include]
    order = sorted(range(len(include)), key=lambda n: sum(include[n].credit(item) == 1 for item in found))
    for credit in (1.0, 0.5):
        for number in order:
            fits = [item for item in free if include[number].credit(item) == credit]
            for item in fits[: include[number].count - len(groups[number])]:
                groups[number].append(item)
                free.remove(item)
    return groups
