import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.images import tiny_images
from tests.sft.examples import EOI, EOS, IDS, SOI, drawing, example, thought
from unigrpo.batch import left_pad, unguided_heads
from unigrpo.config import DataSection, SFTSection
from unigrpo.data import load_examples, load_prompts
from unigrpo.data.layouts import lay_out
from unigrpo.models import ids_of, train_tokenizer
from unigrpo.models.ids import PUBLISHED
from unigrpo.sft.batches import collate, epoch_order
from unigrpo.sft.kept import BatchStream
from unigrpo.sft.recipe import Recipe

GOLDEN = Path(__file__).parents[1] / "golden"
ALL = SFTSection(eps=0.999999, condition_dropout=0.0)
"""Every maskable position of a text is masked."""


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 3))
def test_an_epoch_holds_rows_once_and_drops_less_than_a_batch(rows, size, epoch):
    size = min(size, rows)
    lengths = [(7 * row) % 50 for row in range(rows)]
    batches = epoch_order(lengths, size, 0, epoch)
    flat = [row for batch in batches for row in batch]
    assert len(set(flat)) == len(flat) > rows - size
    assert all(len(batch) == size for batch in batches)
    assert batches == epoch_order(lengths, size, 0, epoch)


def test_buckets_waste_less_padding_than_chance():
    lengths = np.random.default_rng(0).integers(1, 500, 4096).tolist()

    def waste(batches):
        groups = [[lengths[row] for row in batch] for batch in batches]
        return sum(max(group) * len(group) - sum(group) for group in groups)

    ordered = epoch_order(lengths, 16, 0, 0)
    plain = [list(range(at, at + 16)) for at in range(0, 4096, 16)]
    assert waste(ordered) < 0.25 * waste(plain)


def test_layout_trains_the_end_of_sequence_padding_and_hides_the_rest():
    rows = [example([1, 2, 3], [5, 8]), example([1], [6, 7, 8])]
    batch = collate(rows, ALL, IDS, noise_key=0, pad_to=4)
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 5, 8, 8, 8], [1, 6, 7, 8, 8, 8, 8]]
    assert batch.key_mask_BT.tolist() == [[True] * 7, [True] * 5 + [False] * 2]
    assert not batch.masked_BT[0, :3].any()
    assert not batch.masked_BT[1, 5:].any()
    assert batch.masked_BT.sum() == 8
    torch.testing.assert_close(batch.weight_B, torch.full((2,), 1 / 8, dtype=torch.float64), atol=1e-5, rtol=0)


def test_an_over_long_response_is_cut_without_an_end():
    section = SFTSection(max_length=4)
    batch = collate([example([1, 2], [5, 6, 7, 8])], section, IDS, noise_key=0)
    assert batch.tokens_BT.tolist() == [[1, 2, 5, 6]]


def test_the_limit_counts_no_image():
    asked = replace(example([13, SOI, 16, 17, EOI, 1, 2], [5, 6, 7, 8], task="understand"), text_length=2)
    batch = collate([asked], SFTSection(max_length=4), IDS, noise_key=0)
    assert batch.tokens_BT.tolist() == [[13, SOI, 16, 17, EOI, 1, 2, 5, 6]]


def test_conversations_about_images_are_those_of_mmada():
    """From the prompt and the response of each, filled up to the text budget, come its ids and its prompt mask."""
    vectors = load_file(GOLDEN / "vectors.safetensors")
    settings = json.loads((GOLDEN / "meta.json").read_text())["prompts"]
    mmada, budget = PUBLISHED["mmada", 134656], settings["text_budget"]
    for row, chat in enumerate(settings["chats"]):
        chat = chat if chat[0] == mmada.bos else [mmada.bos, *chat]
        start = len(chat) - chat[::-1].index(mmada.end_header)
        codes = vectors["prompt.image_ids"][row] - mmada.image_offset
        prompt = lay_out(chat[:start], DataSection(task="understand"), mmada, codes)
        asked = example(prompt, chat[start:], task="understand")
        batch = collate([asked], ALL, mmada, noise_key=0, pad_to=budget - start)
        np.testing.assert_array_equal(batch.tokens_BT[0], vectors["prompt.mmu.ids"][row])
        np.testing.assert_array_equal(~batch.masked_BT[0], vectors["prompt.mmu.prompt_mask"][row].astype(bool))


def test_a_drawing_learns_its_codes_and_nothing_else():
    rows = [drawing([1, 2, 3], [16, 17, 18, 19]), drawing([4], [20, 21, 22, 23])]
    section = SFTSection(condition_dropout=0.0)
    batches = [collate(rows, section, IDS, noise_key=noise) for noise in range(50)]
    assert batches[0].tokens_BT.tolist() == [
        [12, 7, 1, 2, 3, EOS, SOI, 16, 17, 18, 19, EOI],
        [12, 7, 4, EOS, SOI, 20, 21, 22, 23, EOI, EOS, EOS],
    ]
    assert batches[0].key_mask_BT.tolist() == [[True] * 12, [True] * 10 + [False] * 2]
    ever_BT = torch.stack([batch.masked_BT for batch in batches]).any(0)
    assert torch.equal(ever_BT, batches[0].tokens_BT >= IDS.image_offset)


def test_a_drawing_without_its_prompt_is_the_unconditional_one():
    rows = [drawing([1, 2, 3], [16, 17, 18, 19]), drawing([4], [20, 21, 22, 23])]
    batch = collate(rows, SFTSection(condition_dropout=1.0), IDS, noise_key=0)
    for row, codes in zip(batch.tokens_BT.tolist(), ([16, 17, 18, 19], [20, 21, 22, 23]), strict=True):
        assert row == [12, 7, EOS, SOI, *codes, EOI]
    assert batch.masked_BT[:, 4:8].any(-1).all()
    assert not batch.masked_BT[:, [0, 1, 2, 3, 8]].any()


def test_a_thought_and_its_drawing_share_a_probability_and_the_ends_of_the_image_are_given():
    rows = [thought([1, 2], [5], [16, 17]), thought([3], [5, 6, 7], [18, 19])]
    batch = collate(rows, ALL, IDS, noise_key=0, pad_to=5)
    assert batch.tokens_BT.tolist() == [
        [14, 7, 1, 2, 5, EOS, EOS, EOS, EOS, SOI, 16, 17, EOI],
        [14, 7, 3, 5, 6, 7, EOS, EOS, SOI, 18, 19, EOI, EOS],
    ]
    learned = [[4, 5, 6, 7, 8, 10, 11], [3, 4, 5, 6, 7, 9, 10]]
    assert [row.nonzero().flatten().tolist() for row in batch.masked_BT] == learned
    torch.testing.assert_close(batch.weight_B, torch.full((2,), 1 / 14, dtype=torch.float64), atol=1e-5, rtol=0)
    half = collate(rows * 400, SFTSection(condition_dropout=0.0), IDS, noise_key=1, pad_to=5)
    texts, codes = half.masked_BT[::2, 4:9].double().mean(-1), half.masked_BT[::2, 10:12].double().mean(-1)
    assert torch.corrcoef(torch.stack([texts, codes]))[0, 1] == pytest.approx(
        0.6, abs=0.1
    )  # 1/12 / sqrt((1/12 + 1/30)(1/12 + 1/12))


def test_a_thought_without_its_prompt_is_silence_that_is_given():
    rows = [thought([1, 2], [5, 6], [16, 17])]
    batch = collate(rows, replace(ALL, condition_dropout=1.0), IDS, noise_key=0, pad_to=4)
    assert batch.tokens_BT.tolist() == [[14, 7, EOS, EOS, EOS, EOS, SOI, 16, 17, EOI]]
    assert batch.masked_BT[0].nonzero().flatten().tolist() == [7, 8]
    assert float(batch.weight_B) == pytest.approx(0.5, abs=1e-5)


def test_text_never_loses_its_prompt():
    batch = collate([example([1, 2], [5, 8])] * 50, SFTSection(condition_dropout=1.0), IDS, noise_key=0)
    assert (batch.tokens_BT[:, :2] == torch.tensor([1, 2])).all()


def test_a_batch_is_a_function_of_seed_and_step_alone():
    rows = [drawing([row % 7], [16 + row % 8] * 6) for row in range(20)]
    recipe = Recipe(section=SFTSection(condition_dropout=0.5), ids=IDS)
    one, other, third = (BatchStream(rows, seed=seed, batch_size=6) for seed in (3, 3, 4))

    def batch(stream, step):
        return recipe.batch(stream.samples(step))

    for step in (5, 0, 9):
        a, b = batch(one, step), batch(other, step)
        assert torch.equal(a.tokens_BT, b.tokens_BT)
        assert torch.equal(a.masked_BT, b.masked_BT)
    assert not torch.equal(batch(one, 0).masked_BT, batch(one, 3).masked_BT)
    assert not torch.equal(batch(one, 0).masked_BT, batch(third, 0).masked_BT)


def test_whether_a_token_is_masked_does_not_depend_on_how_its_probability_was_drawn():
    rows = [example([], [5]), example([], [6])]
    drawn = [collate(rows, SFTSection(), IDS, noise_key=7 * n).masked_BT for n in range(2000)]
    assert (torch.stack(drawn).double().mean(0) - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("task", ["image", "think_image"])
def test_what_is_trained_is_what_is_sampled_with_a_prompt_and_without(task):
    """Prompt and response of a rollout, and the row that guidance compares with, are the two rows of training."""
    images = tiny_images()
    tokenizer = train_tokenizer(["a red square"], 300)
    ids = ids_of(tokenizer, images.codebook_size)
    section, width = DataSection(source="shapes", task=task, size=4), 200
    prompts = load_prompts(section, tokenizer, ids, images=images)
    for prompt, learned in zip(prompts, load_examples(section, tokenizer, ids, images=images), strict=True):
        said = learned.response_tokens.tolist()
        response = (said + [ids.eos] * (width - len(said)) if said else []) + learned.image_tokens.tolist()
        prompts_BP, real_BP = left_pad([prompt.tokens], ids.pad, len(prompt.tokens) + 3)
        heads_BH, seen_BH = unguided_heads([prompt], prompts_BP, real_BP, width, ids)
        for share, head in ((0.0, prompt.tokens), (1.0, heads_BH[seen_BH].numpy())):
            hidden = SFTSection(condition_dropout=share)
            pad_to = width if said else None
            row = collate([learned], hidden, ids, noise_key=0, pad_to=pad_to).tokens_BT[0].tolist()
            kept = response if share == 0 else learned.image_tokens.tolist()
            assert row == [*head.tolist(), *kept]
