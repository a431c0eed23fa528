import torch
from hypothesis import given
from hypothesis import strategies as st

from rollout.schedule import above_threshold, commit_counts, most_confident


def test_transfer_counts_of_the_reference():
    assert commit_counts(128, 50) == [3] * 28 + [2] * 22
    assert commit_counts(128, 100) == [2] * 28 + [1] * 72


@given(st.integers(1, 200), st.integers(1, 200))
def test_counts_sum_to_the_masks_and_differ_by_at_most_one(masked, steps):
    counts = commit_counts(masked, steps)
    assert sum(counts) == masked
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts, reverse=True)


def test_committed_positions_are_never_chosen_again():
    confidence = torch.tensor([[0.1, float("-inf"), 0.7], [float("-inf")] * 3])
    assert most_confident(confidence, 2).tolist() == [[True, False, True], [False] * 3]
    assert above_threshold(confidence, 0.9).tolist() == [[False, False, True], [False] * 3]
