import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unigrpo.curation.duplicates import overlap, pairs, shingles

SETS = st.lists(st.frozensets(st.integers(0, 14), min_size=1, max_size=12), max_size=25)


@settings(max_examples=200, deadline=None)
@given(SETS, st.sampled_from([0.1, 0.3, 0.5, 2 / 3, 0.8, 0.9, 1.0]))
def test_all_pairs_are_found_and_no_others(sets, least):
    every = [(b, a) for b in range(len(sets)) for a in range(b) if overlap(sets[a], sets[b]) >= least]
    assert list(pairs(sets, least)) == every


def test_the_overlap_of_sequences_is_what_counting_gives():
    one, other = shingles("a b c d e f", 3), shingles("A b  c d e, f", 3)
    assert overlap(one, other) == 3 / 6  # abc bcd cde def; abc bcd cde de, e,f
    assert overlap(one, shingles("a B c\nd e f", 3)) == 1.0
    assert overlap(shingles("", 3), shingles("", 3)) == 1.0


@pytest.mark.parametrize("size", [1, 5])
def test_a_word_more_in_a_long_text_is_near(size):
    words = [f"w{random.Random(0).randrange(50)}-{n}" for n in range(200)]
    changed = [*words[:100], "another", *words[100:]]
    assert overlap(shingles(" ".join(words), size), shingles(" ".join(changed), size)) > 0.95
