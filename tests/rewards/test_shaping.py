import random
import time
from dataclasses import replace

import numpy as np
import pytest

from rewards import Scorer, resolve
from rewards.shaping import group_length, length, overlong, repetition, response_tokens
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import Sampling

EOS = 1


@pytest.fixture
def of_tokens(rollout):
    """Make a rollout of some tokens before its end-of-sequence; `tail` of that follow it, or it never ended."""

    def make(count: int, limit: int = 100, tail: int = 0, truncated: bool = False, output: str = "42", **prompt):
        tokens = np.concatenate([np.full(count, 7), np.full(0 if truncated else 1 + tail, EOS)])
        sampling = Sampling(temperature=1.0, guidance=0.0, gen_length=limit, block_length=1)
        return replace(rollout(output, **prompt), tokens=tokens, sampling=sampling, truncated=truncated)

    return make


def test_the_end_of_a_sequence_and_its_tail_are_no_part_of_its_length(of_tokens):
    assert [response_tokens(of_tokens(5, tail=tail)) for tail in (0, 1, 9)] == [5, 5, 5]
    assert response_tokens(of_tokens(0)) == 0
    assert response_tokens(of_tokens(100, truncated=True)) == 100
    assert response_tokens(of_tokens(0, truncated=True)) == 0


def test_length_is_a_share_of_what_may_be_generated_or_of_a_limit(of_tokens):
    assert length(of_tokens(25)) == 0.25
    assert length(of_tokens(25), limit=50) == 0.5
    assert length(of_tokens(25, output=" 12345 "), unit="characters", limit=10) == 0.5


def test_a_negative_weight_penalises_length(of_tokens):
    scorer = Scorer({"length": RewardEntry(weight=-0.1), "exact_match": RewardEntry()})
    rewards = [scored.reward for scored in scorer.score([of_tokens(50), of_tokens(100, truncated=True)])]
    assert rewards == pytest.approx([0.95, 0.9])


@pytest.mark.parametrize(("limit", "buffer"), [(1, 1), (7, 3), (10, 10), (50, 20)])
def test_overlong_is_dapos_punishment(of_tokens, limit, buffer):
    for count in range(limit + 1):
        expected = 0.0 if count <= limit - buffer else ((limit - buffer) - count) / buffer
        assert overlong(of_tokens(count, limit), buffer=buffer) == pytest.approx(expected)
        assert overlong(of_tokens(count, limit, truncated=True), buffer=buffer) == -1


def test_overlong_falls_over_a_fifth_by_default(of_tokens):
    values = [overlong(of_tokens(count)) for count in (0, 80, 90, 100)]
    assert values == [0, 0, -0.5, -1]
    assert overlong(of_tokens(5), limit=5, buffer=5) == -1
    assert overlong(of_tokens(50), limit=5) == -1


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_repetition_is_the_share_of_n_grams_that_were_there_before(of_tokens, n):
    draw = random.Random(n)
    for size in range(12):
        words = draw.choices("abc", k=size)
        grams = [tuple(words[start : start + n]) for start in range(size - n + 1)]
        again = sum(gram in grams[:place] for place, gram in enumerate(grams))
        item = replace(of_tokens(1, output="  ".join(words).upper()), tokens=np.array([*map(ord, words), EOS]))
        assert repetition(item, n=n) == pytest.approx(again / max(len(grams), 1))
        assert repetition(item, n=n, unit="tokens") == repetition(item, n=n)


def test_repetition_can_be_counted_in_characters(of_tokens):
    assert repetition(of_tokens(1, output="11111")) == 0
    assert repetition(of_tokens(1, output="11111"), unit="characters") == pytest.approx(2 / 3)


def test_a_group_is_compared_by_length_and_a_wrong_answer_gains_nothing(of_tokens):
    group = [of_tokens(10), of_tokens(20), of_tokens(30), of_tokens(10, output="41"), of_tokens(30, output="41")]
    assert group_length(group) == [0.5, 0, -0.5, 0, -0.5]
    assert group_length([of_tokens(10), of_tokens(10)]) == [0, 0]
    assert group_length([of_tokens(10)]) == [0]
    assert group_length(group, correct="math") == group_length(group)


def test_each_prompt_is_a_group(of_tokens):
    counts = [("a", 10), ("b", 100), ("a", 30), ("b", 100)]
    items = [replace(of_tokens(n, id=name), id=f"1/{name}/{place}") for place, (name, n) in enumerate(counts)]
    scored = Scorer({"group_length": RewardEntry()}).score(items)
    assert [s.reward for s in scored] == [0.5, 0, -0.5, 0]


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("length", {"unit": "words"}, r"length\.args\.unit is 'words': set it to tokens or characters"),
        ("length", {"unit": "characters"}, r"length\.args\.limit is not set"),
        ("length", {"limit": 0}, r"length\.args\.limit is 0: set it to a whole number of 1 or more"),
        ("overlong", {"buffer": 0}, r"overlong\.args\.buffer is 0"),
        ("overlong", {"buffer": 1.5}, r"overlong\.args\.buffer is 1\.5"),
        ("overlong", {"limit": 5, "buffer": 6}, r"overlong\.args\.buffer is 6, more than its limit 5"),
        ("repetition", {"n": 0}, r"repetition\.args\.n is 0"),
        ("repetition", {"n": True}, r"repetition\.args\.n is True"),
        ("repetition", {"unit": "lines"}, r"repetition\.args\.unit is 'lines'"),
    ],
)
def test_a_bad_setting_is_found_before_training(name, args, message):
    with pytest.raises(ConfigError, match=message):
        resolve(name, RewardEntry(args=args))


def test_an_unknown_judge_is_found_before_training():
    with pytest.raises(RewardError, match=r"exactmatch is not a reward\. Did you mean `exact_match`"):
        resolve("group_length", RewardEntry(args={"correct": "exactmatch"}))


def test_repetition_takes_linear_time(of_tokens):
    start = time.process_time()
    assert repetition(of_tokens(1, output="1 " * 200000), n=20) > 0.99
    assert time.process_time() - start < 2
