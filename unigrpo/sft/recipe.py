"""From the samples of a batch to its tensors, in whatever process learns from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unigrpo.config import DataSection, SFTConfig, SFTSection, sets_of, streams_of
from unigrpo.data.load import Example
from unigrpo.data.protocols import Images
from unigrpo.data.shards.prepare import Draft, finish
from unigrpo.models.ids import IdTable
from unigrpo.sft.batches import SFTBatch, check_thought, collate
from unigrpo.sft.loss import learned
from unigrpo.sft.noise import image_weights


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """What a batch is made of. It can be sent to another process."""

    items: Sequence[Example | tuple[str, Draft]]
    """Examples, or of streamed data drafts, each with the name of its data set."""
    noise_key: int

    def __len__(self) -> int:
        return len(self.items)

    def seen_in(self, rows: Sequence[slice], codes: int) -> "Samples":
        """The same with pictures in these rows alone: in others, codes of no meaning take the place of theirs.

        Which tokens of a row are masked, and what they weigh, depends on the lengths of all rows of the batch.
        """
        wanted = {row for part in rows for row in range(len(self))[part]}
        blank = np.zeros(codes, dtype=np.int64)

        def unseen(item: Example | tuple[str, Draft]) -> Example | tuple[str, Draft]:
            if isinstance(item, Example) or item[1].picture is None:
                return item
            return item[0], replace(item[1], picture=None, codes=blank)

        items = [item if row in wanted else unseen(item) for row, item in enumerate(self.items)]
        return replace(self, items=items)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """How the samples of one stream become a batch, and what its loss counts."""

    section: SFTSection
    ids: IdTable
    pad_to: int | None = None
    coefficient: float = 1.0
    """Factor of its loss in the sum."""
    ends: bool = False
    """Its loss has the two ends of each image in it."""
    sets: Mapping[str, DataSection] = field(default_factory=dict)
    """Where drafts are from."""
    images: Images | None = None
    visible_pads: bool = False
    prefix: str = "sft."

    def batch(self, samples: Samples) -> SFTBatch:
        """The batch of some samples."""
        batch = collate(
            self._examples(samples), self.section, self.ids, noise_key=samples.noise_key, pad_to=self.pad_to
        )
        return replace(batch, weight_B=image_weights(learned(batch, self.ids, True))) if self.ends else batch

    def _examples(self, samples: Samples) -> list[Example]:
        examples = [item for item in samples.items if isinstance(item, Example)]
        drafts = [(self.sets[item[0]], item[1]) for item in samples.items if not isinstance(item, Example)]
        made = finish(drafts, self.ids, self.images, self.visible_pads) if drafts else []
        for example in made:
            check_thought(example, self.pad_to, self.prefix)
        return examples + made

    def judging(self) -> "Recipe":
        """That of what is held out: it is judged as it will be used, with its prompt."""
        return replace(self, section=replace(self.section, condition_dropout=0.0))


def recipes_of(config: SFTConfig, ids: IdTable, images: Images | None) -> dict[str, Recipe]:
    """The recipes of a run's streams, by name."""
    return {
        name: Recipe(
            section=replace(config.sft, max_length=stream.max_length or config.sft.max_length),
            ids=ids,
            pad_to=stream.pad_to,
            coefficient=stream.coefficient,
            ends=config.sft.image_ends and stream.data.task == "image",
            sets=sets_of(stream),
            images=images,
            visible_pads=config.model.legacy_visible_pads,
            prefix=f"streams.{name}." if name else "sft.",
        )
        for name, stream in streams_of(config).items()
    }
