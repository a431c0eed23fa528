"""How the batches of a step are dealt to processes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.images import tiny_images
from tests.sft.examples import IDS, example
from unigrpo.config import DataSection, SFTConfig, SFTSection, streams_of
from unigrpo.config.load import load_config
from unigrpo.data.shards.prepare import Draft
from unigrpo.sft.recipe import Recipe, Samples
from unigrpo.sft.shares import Share, share_out
from unigrpo.sft.turns import Turns

CONFIGS = Path(__file__).parents[2] / "configs/sft"


def dealt(sizes: Sequence[int], most: int, world: int) -> list[Share]:
    """Shares of batches of two streams in turn; a row says which it is."""
    batches = [(str(number % 2), size) for number, size in enumerate(sizes)]

    def take(number: int) -> Samples:
        return Samples(items=[example([number, row]) for row in range(sizes[number])], noise_key=0)

    return share_out(batches, take, most, world, codes=0)


def rows(share: Share) -> list[tuple[int, ...]]:
    """What a share learns from."""
    lots = [lot for lot in share.lots if lot.counts]
    items = [item for lot in lots for part in lot.parts for item in lot.samples.items[part]]
    return [tuple(item.prompt_tokens.tolist()) for item in items]  # pyright: ignore[reportAttributeAccessIssue]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 12), st.integers(1, 7))
def test_every_row_is_learned_once_and_all_make_equally_many_forwards(sizes, most, world):
    shares = dealt(sizes, most, world)
    for share in shares:
        parts = [part for lot in share.lots for part in lot.parts]
        assert len(parts) == share.forwards == shares[0].forwards
        assert all(0 < part.stop - part.start <= most for part in parts)
        assert share.batches == {str(at): len(sizes[at::2]) for at in range(min(2, len(sizes)))}
    every = [(number, row) for number, size in enumerate(sizes) for row in range(size)]
    assert sorted(row for share in shares for row in rows(share)) == every


@pytest.mark.parametrize(
    ("sizes", "most", "world", "each"),
    [
        ([64], 64, 2, 32),
        ([64], 16, 4, 16),
        ([8, 8] * 3, 8, 2, 24),
        ([8, 8] * 3, 8, 4, 12),
        ([1, 2, 1] * 256, 2, 64, 16),
    ],
)
def test_processes_have_equally_much_to_do(sizes, most, world, each):
    assert [len(rows(share)) for share in dealt(sizes, most, world)] == [each] * world


@pytest.mark.parametrize("name", ["1.1", "1.2", "1.3", "2.1", "2.2"])
def test_64_ranks_share_a_published_step_without_an_idle_forward(name):
    config = load_config(SFTConfig, [str(CONFIGS / f"stage{name}.yaml")])
    sections = streams_of(config)
    turns = [Turns(sections, config.seed).of(number) for number in range(config.sft.accumulation)]
    sizes = [section.batch_size for stream, section in sections.items() for turn in turns if stream in turn]
    shares = dealt(sizes, config.sft.micro_batch, config.cluster.ranks)
    assert config.cluster.ranks == 64
    assert all(lot.counts for share in shares for lot in share.lots)
    assert {len(rows(share)) for share in shares} == {sum(sizes) // 64}


def test_rows_without_their_pictures_leave_the_others_as_they_were():
    images = tiny_images(bits=3)
    section = DataSection(task="image", source="shapes")
    recipe = Recipe(section=SFTSection(condition_dropout=0.3), ids=IDS, sets={"": section}, images=images, ends=True)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    drafts = [
        ("", Draft(id=str(row), tokens=np.arange(1, 2 + row % 3), response=np.empty(0, np.int64), picture=picture))
        for row, picture in enumerate(pictures)
    ]
    samples = Samples(items=drafts, noise_key=3)
    mine = samples.seen_in([slice(0, 1), slice(3, 5)], images.tokens)
    assert [item[1].picture is None for item in mine.items] == [False, True, True, False, False]
    whole, some = recipe.batch(samples), recipe.batch(mine)
    for name in ("key_mask_BT", "masked_BT", "weight_B"):
        assert torch.equal(getattr(whole, name), getattr(some, name))
    seen = torch.tensor([True, False, False, True, True])
    assert torch.equal(whole.tokens_BT[seen], some.tokens_BT[seen])
    assert not torch.equal(whole.tokens_BT, some.tokens_BT)
