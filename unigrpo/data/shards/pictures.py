"""Pictures alone, for the codes that are kept of them."""

from dataclasses import dataclass, replace

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.rows import expand_record, row_of
from unigrpo.data.shards.broken import Skipped
from unigrpo.data.shards.codes import picture_key
from unigrpo.data.shards.filters import unfit
from unigrpo.errors import DataError


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, and the name of its content."""

    key: bytes
    pixels: np.ndarray
    """[R, R, 3] uint8."""


class PictureMaker:
    """What makes pictures of rows, whatever else these hold. It can be sent to another process."""

    def __init__(self, section: DataSection, resolution: int):
        self.section, self.resolution = replace(section, join=None, turns="last"), resolution

    def expand(self, record: Record) -> list[Record]:
        """Return the row, with its image where its layout has it."""
        return expand_record(record, self.section)

    def prepare(self, record: Record) -> Picture | Skipped:
        """Return the picture of a row, or why there is none."""
        from unigrpo.data.images import fit_image, read_image

        try:
            row = row_of(record, self.section, ("image",), asks=False)
            if reason := unfit(row, self.section.filter):
                return Skipped(reason)
            assert row.image is not None, "row_of has seen to it"
            pixels = fit_image(read_image(row.image, row.where), self.resolution, self.section.fit)
            return Picture(picture_key(row.image), pixels)
        except DataError as error:
            return Skipped(str(error), broken=True)
