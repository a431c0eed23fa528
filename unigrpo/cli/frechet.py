"""How far the drawings of an evaluation are from a folder of pictures, by features of the user's own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rewards.source import location, user_function
from unigrpo.config import FidSection
from unigrpo.data.images import read_image
from unigrpo.errors import ConfigError, DataError
from unigrpo.fid import fid
from unigrpo.progress import progress
from unigrpo.types import Scored

AT_ONCE = 64
ENDS = (".png", ".jpg", ".jpeg", ".webp")


class Frechet:
    """The function, and what it says of the pictures, found before anything is drawn."""

    def __init__(self, section: FidSection, key: str, drawings: int) -> None:
        """Raises a `ConfigError` or `DataError` when one of them is not there, or cannot be used.

        Args:
            drawings: how many there will be.
        """
        if not section.features or not section.path:
            raise ConfigError(f"{key}.features and {key}.path belong together: set both.")
        self.features = user_function(f"{key}.features", section.features)
        folder = Path(section.path)
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDS)
        if len(files) < 2:
            raise DataError(f"{key}.path is {folder}, which has {len(files)} pictures ({', '.join(ENDS)}).")
        if drawings < 2:
            raise DataError(
                f"{key} compares two drawings or more, and there will be {drawings}: draw more, or drop it."
            )
        with progress("Features", len(files)) as bar:
            self.theirs = self._all(files, lambda path: read_image(path, str(path)), bar)

    def distance(self, scored: Sequence[Scored]) -> float:
        """Between all drawings and all pictures of the folder."""
        drawn = [item.rollout.image for item in scored if item.rollout.image is not None]
        with progress("Features", len(drawn)) as bar:
            return fid(self._all(drawn, lambda image: image, bar), self.theirs)

    def _all(self, items: Sequence[Any], read: Callable[[Any], np.ndarray], bar) -> np.ndarray:
        found = []
        for at in range(0, len(items), AT_ONCE):
            images = [read(item) for item in items[at : at + AT_ONCE]]
            features = np.asarray(self.features(images))
            if features.ndim != 2 or len(features) != len(images):
                wrong = f"returned {list(features.shape)} for {len(images)} images"
                raise DataError(f"{location(self.features)} {wrong}: return [images, features].")
            found.append(features)
            bar.update({}, advance=len(images))
        return np.concatenate(found)
