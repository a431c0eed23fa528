"""From a row to a draft of an example: all that can be done away from the model, in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from unigrpo.config import DataSection
from unigrpo.data.files import Record
from unigrpo.data.load import Example, learned, make_example, response_of
from unigrpo.data.prompts import text_part
from unigrpo.data.protocols import Images, SpecialIds
from unigrpo.data.rows import Row, expand_record, row_of
from unigrpo.data.shards.broken import Skipped
from unigrpo.data.shards.codes import KeptCodes, picture_key
from unigrpo.data.shards.filters import unfit, wrong_length
from unigrpo.data.shots import Solved, after_shots, solved_rows
from unigrpo.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL = (
    "bos", "eos", "mask", "start_header", "end_header", "eot", "soi", "eoi", "t2i", "mmu", "r2i", "ipad",
    "image_offset", "codebook_size",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The special ids of a model, without the module of the model, which a process that reads has no use for."""

    eos: int
    mask: int
    codebook_size: int
    bos: int | None = None
    start_header: int | None = None
    end_header: int | None = None
    eot: int | None = None
    soi: int | None = None
    eoi: int | None = None
    t2i: int | None = None
    mmu: int | None = None
    r2i: int | None = None
    ipad: int | None = None
    image_offset: int | None = None

    @classmethod
    def of(cls, ids: SpecialIds) -> "Ids":
        """Copy them from a model's table."""
        return cls(**{name: getattr(ids, name) for name in SPECIAL})


class Words:
    """A fast tokenizer as `encode_text` calls it, without the package around it, whose import takes seconds."""

    def __init__(self, tokenizer: Any):
        copy = type(tokenizer).from_str(tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
        copy.encode_special_tokens = True
        self.tokenizer = copy

    def __call__(self, text: str, **_: bool) -> dict[str, list[int]]:
        """Return the ids of a text, in which special tokens are text too."""
        return {"input_ids": self.tokenizer.encode(text, add_special_tokens=False).ids}

    def convert_ids_to_tokens(self, token: int) -> str:
        """The string of an id."""
        return self.tokenizer.id_to_token(token)


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """An example whose picture has no codes yet, or has them from `data.codes`."""

    id: str
    tokens: np.ndarray
    """[P] int64, the text part of the prompt."""
    response: np.ndarray
    """[L] int64, with the end of sequence at its end; empty where only an image is drawn."""
    picture: np.ndarray | None = None
    """[R, R, 3] uint8, unless there are codes."""
    codes: np.ndarray | None = None
    """[N] int64."""
    size: tuple[int, int] | None = None
    """Width and height of the picture before it was fitted, where it was read."""

    def __len__(self) -> int:
        return len(self.tokens) + len(self.response)


@dataclass
class Preparer:
    """What makes drafts of the rows of one data set. It can be sent to another process."""

    section: DataSection
    tokenizer: "PreTrainedTokenizerBase"
    ids: Ids
    resolution: int | None = None
    """Sides of a picture; None for a task of text."""
    require: tuple[str, ...] = ()
    """The columns that every row must have."""
    kept: KeptCodes | None = field(init=False, default=None)
    solved: Solved | None = field(init=False, default=None)

    @classmethod
    def of(
        cls,
        section: DataSection,
        tokenizer: "PreTrainedTokenizerBase",
        ids: SpecialIds,
        resolution: int | None,
        require: tuple[str, ...] | None = None,
    ) -> "Preparer":
        """Return the one that makes examples of a section, or prompts that have the columns `require`."""
        seeing = None if section.task == "text" else resolution
        words = cast("PreTrainedTokenizerBase", Words(tokenizer.backend_tokenizer))
        return cls(section, words, Ids.of(ids), seeing, learned(section.task) if require is None else require)

    def expand(self, record: Record) -> list[Record]:
        """Return the rows that a row stands for."""
        return expand_record(record, self.section)

    def prepare(self, record: Record) -> Draft | Skipped:
        """Return the draft of a row, or why there is none.

        Raises:
            DataError: the prompt is longer than it may be.
        """
        try:
            row = row_of(record, self.section, self.require)
            if reason := unfit(row, self.section.filter):
                return Skipped(reason)
            if self.section.shots:
                self.solved = self.solved or solved_rows(self.section)
                row = after_shots(row, self.solved, self.section)
            tokens = text_part(row.prompt, self.section, self.tokenizer, self.ids, row.history)
            response = response_of(row, self.tokenizer, self.ids, self.section)
            if reason := wrong_length(len(tokens) + len(response), self.section.filter):
                return Skipped(reason)
            if len(tokens) > self.section.max_prompt_length:
                return self._too_long(row, len(tokens))
            ids = {"tokens": np.array(tokens, np.int64), "response": np.array(response, np.int64)}
            return Draft(id=row.id, **ids, **self._seen(row))
        except DataError as error:
            return Skipped(str(error), broken=True)

    def _too_long(self, row: Row, tokens: int) -> Skipped:
        if self.section.too_long == "drop":
            return Skipped("max_prompt_length")
        most = self.section.max_prompt_length
        return Skipped(
            f"{row.where}: the prompt has {tokens} tokens, but data.max_prompt_length is {most}. Raise it, or leave "
            "such rows out with data.too_long=drop.",
            broken=True,
        )

    def _seen(self, row: Row) -> dict[str, Any]:
        from unigrpo.data.images import fit_image, read_image

        if self.resolution is None:
            if row.image is None:
                return {}
            raise DataError(
                f"{row.where}: an image for a text task: data.task is text, which does not look at it. Set "
                "data.task=understand to ask about it or data.task=image to draw it, or drop the column."
            )
        if row.image is None:
            return {}  # of a prompt to draw from
        if self.section.codes is not None:
            self.kept = self.kept or KeptCodes.of(self.section.codes)
            codes = self.kept.find(picture_key(row.image))
            if codes is not None:
                return {"codes": codes}
        image = read_image(row.image, row.where)
        picture = fit_image(image, self.resolution, self.section.fit)
        return {"picture": picture, "size": (image.shape[1], image.shape[0])}


def finish(
    drafts: Sequence[tuple[DataSection, Draft]], ids: SpecialIds, images: Images | None, visible_pads: bool = False
) -> list[Example]:
    """Return the examples of some drafts of one batch; pictures without codes are encoded together."""
    bare = [draft.picture for _, draft in drafts if draft.picture is not None]
    assert images is not None or not bare, "check_images comes first"
    made = iter(images.encode(bare) if images is not None and bare else [])
    return [
        make_example(
            draft.id,
            draft.tokens.tolist(),
            draft.response.tolist(),
            next(made) if draft.picture is not None else draft.codes,
            section,
            ids,
            visible_pads,
        )
        for section, draft in drafts
    ]
