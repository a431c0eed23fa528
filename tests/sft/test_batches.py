import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.config import SFTSection
from unigrpo.data.load import Example
from unigrpo.sft.batches import BatchStream, collate, epoch_order


def example(prompt, response):
    return Example(id="x", prompt_tokens=np.array(prompt), response_tokens=np.array(response))


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
    section = SFTSection(pad_to=4, eps=0.999)  # every maskable position is masked
    batch = collate([example([1, 2, 3], [5, 8]), example([1], [6, 7, 8])], section, noise_key=0, mask_id=9, eos_id=8)
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 5, 8, 8, 8], [1, 6, 7, 8, 8, 8, 8]]
    assert batch.key_mask_BT.tolist() == [[True] * 7, [True] * 5 + [False] * 2]
    assert batch.answer_length_B.tolist() == [4, 4]
    assert not batch.masked_BT[0, :3].any()
    assert not batch.masked_BT[1, 5:].any()
    assert batch.masked_BT.sum() == 8


def test_an_over_long_response_is_cut_without_an_end():
    section = SFTSection(max_length=4)
    batch = collate([example([1, 2], [5, 6, 7, 8])], section, noise_key=0, mask_id=9, eos_id=8)
    assert batch.tokens_BT.tolist() == [[1, 2, 5, 6]]


def test_a_batch_is_a_function_of_seed_and_step_alone():
    rows = [example([1], [row % 7, 8]) for row in range(20)]
    section = SFTSection(batch_size=6)
    one, other = (BatchStream(rows, section, seed=3, mask_id=9, eos_id=8) for _ in range(2))
    for step in (5, 0, 9):
        a, b = one.batch(step), other.batch(step)
        assert torch.equal(a.tokens_BT, b.tokens_BT)
        assert torch.equal(a.masked_BT, b.masked_BT)
    assert not torch.equal(one.batch(0).masked_BT, one.batch(3).masked_BT)


def test_whether_a_token_is_masked_does_not_depend_on_how_its_probability_was_drawn():
    rows = [example([], [5]), example([], [6])]
    drawn = [collate(rows, SFTSection(), noise_key=7 * n, mask_id=9, eos_id=8).masked_BT for n in range(2000)]
    assert (torch.stack(drawn).double().mean(0) - 0.5).abs().max() < 0.05
