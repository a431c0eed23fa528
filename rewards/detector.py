"""GenEval with your own object detector."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rewards.geneval import Found, Wanted, read, share
from rewards.registry import reward
from rewards.source import location, raised_at, user_function
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import DRAWING

COUNTING = "counting"
"""GenEval's tag of prompts that ask for a number."""


@reward("detector", tasks=DRAWING)
class Detector:
    """Judges a picture by the objects that a detector sees in it, as GenEval does."""

    def __init__(
        self, detector: str, threshold: float = 0.3, counting_threshold: float = 0.9, partial: bool = False
    ) -> None:
        """Load the detector.

        Args:
            detector: `file.py:function`; it is called with a list of [H, W, 3] uint8 arrays and returns, for each, a
                list of objects `{"class", "score", "box": [left, top, right, bottom], "color"?}`, boxes in pixels.
            threshold: least score of an object; GenEval's.
            counting_threshold: least score where the prompt's tag is `counting`; GenEval's.
            partial: give the share of what is wanted that is seen, instead of 1 for all of it and 0 for less.
        """
        for name, value in (("threshold", threshold), ("counting_threshold", counting_threshold)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}: set it to between 0 and 1.")
        self.detect = user_function("detector", detector)
        self.threshold = threshold
        self.counting_threshold = counting_threshold
        self.partial = partial

    def __call__(
        self,
        images: Sequence[np.ndarray],
        include: Sequence[Any],
        exclude: Sequence[Any] | None = None,
        tag: Sequence[str | None] | None = None,
    ) -> list[float]:
        """Return 1 for each picture that shows what its prompt asks for, else 0."""
        try:
            seen = self.detect(list(images))
        except Exception as error:
            raise self._wrong(f"raised {type(error).__name__}: {error} ({raised_at(error, self.detect)}).") from error
        if not isinstance(seen, Sequence) or len(seen) != len(images):
            raise self._wrong(f"returned {seen!r:.80} for {len(images)} images: return one list for each.")
        exclude, tag = exclude or [None] * len(images), tag or [None] * len(images)
        rows = zip(images, seen, include, exclude, tag, strict=True)
        return [self._judge(*row) for row in rows]

    def _judge(self, image: np.ndarray, seen: Any, include: Any, exclude: Any, tag: str | None) -> float:
        wanted = read(include, "include")
        least = self.counting_threshold if tag == COUNTING else self.threshold
        objects = sorted((self._found(item) for item in seen), key=lambda item: -item.score)
        objects = [item for item in objects if item.score > least]
        self._check_colors(wanted, objects)
        value = share(wanted, read(exclude, "exclude"), objects, most_certain, (image.shape[1], image.shape[0]))
        return value if self.partial else float(value == 1)

    def _found(self, item: Any) -> Found:
        try:
            left, top, right, bottom = map(float, item["box"])
            return Found(
                str(item["class"]), (left, top, right, bottom), str(item.get("color") or ""), float(item["score"])
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise self._wrong(
                f"found {item!r:.120}: an object is a dict with `class`, `score` and `box` of four numbers."
            ) from None

    def _check_colors(self, wanted: Sequence[Wanted], objects: Sequence[Found]) -> None:
        named = {entry.name for entry in wanted if entry.color}
        blank = next((item for item in objects if item.name in named and not item.color), None)
        if blank:
            raise self._wrong(f"found a {blank.name} without `color`, but the prompt asks for its colour: name it.")

    def _wrong(self, problem: str) -> RewardError:
        return RewardError(f"the detector at {location(self.detect)} {problem}")


def most_certain(include: Sequence[Wanted], found: Sequence[Found]) -> list[list[Found]]:
    """Take for each entry the objects of its class that were seen most clearly, as GenEval does.

    Args:
        found: objects, the most certain first.
    """
    return [[item for item in found if item.name == entry.name][: entry.count] for entry in include]
