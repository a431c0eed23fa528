"""Which rollouts of a step are written down, and how they were denoised."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.logged import MOST, choose, drawn_steps, replay
from unigrpo.types import Prompt, Rollout, Sampling, Scored

SAMPLING = Sampling(temperature=1.0, guidance=0.0, gen_length=3, block_length=3)


def rollout(prompt: str = "p", index: int = 0, stream: str = "", task="text", **changed) -> Rollout:
    asked = Prompt(id=prompt, task=task, text="?", tokens=np.arange(2), stream=stream)
    made = Rollout(
        id=f"0/{prompt}/{index}",
        prompt=asked,
        tokens=np.array([5, 6, 7]),
        commit_step=np.array([2, 0, 1], dtype=np.int32),
        output="out",
        sampling=SAMPLING,
        truncated=False,
    )
    return replace(made, **changed)


def numbers(tokens: list[int]) -> str:
    return " ".join(map(str, tokens))


def step(rewards: dict[tuple[str, str], list[float]]) -> list[Scored]:
    """Groups by task and prompt."""
    return [
        Scored(rollout=rollout(prompt, index, stream), reward=reward, parts={})
        for (stream, prompt), group in rewards.items()
        for index, reward in enumerate(group)
    ]


def test_the_best_the_median_and_the_worst_of_each_task_are_among_them():
    rewards = {("a", "p"): [0.5, 0.0], ("a", "q"): [1.0, 0.25], ("b", "r"): [30.0, 10.0], ("b", "s"): [20.0, 20.0]}
    # By place: 0.5, 0, 1, 0.25 of task a, and 30, 10, 20, 20 of task b.
    words = choose(step(rewards), 1)
    assert {place: word for place, word in words.items() if word in ("best", "worst")} == {
        **{1: "worst", 2: "best"},
        **{4: "best", 5: "worst"},
    }
    assert list(words.values()).count("median") == 2
    assert words[3] == "median"


def test_of_one_group_all_are_there_the_one_that_differs_most():
    rewards = {("", "p"): [0.5, 0.5, 0.5], ("", "q"): [0.0, 0.6, 0.7], ("", "r"): [1.0, 0.9, 0.8]}
    chosen = choose(step(rewards), 1)
    assert {3, 4, 5} <= set(chosen)
    assert {place for place, word in chosen.items() if word == "group"} <= {3, 4, 5}
    many = choose(step({("", "p"): [0.0, *[1.0] * 40]}), 1)
    assert len(many) <= MOST + 3


def test_where_nothing_differs_only_some_spread_over_the_step_are_written():
    assert choose(step({("", "p"): [1.0] * 3, ("", "q"): [1.0] * 3}), 2) == {0: "", 3: ""}


@given(st.lists(st.one_of(st.floats(-5, 5), st.just(float("nan"))), min_size=1, max_size=40), st.integers(1, 12))
def test_there_are_few_and_the_extremes_are_right(rewards, rows):
    chosen = choose(step({("", "p"): rewards}), rows)
    known = [value for value in rewards if value == value]
    assert len(chosen) <= rows + MOST + 3
    assert list(chosen) == sorted(chosen)
    words = {word: rewards[place] for place, word in chosen.items()}
    if known and max(known) > min(known):
        assert (words["best"], words["worst"]) == (max(known), min(known))


def test_a_replay_has_a_piece_and_a_step_for_each_token_that_was_sampled():
    found = replay(rollout(), numbers)["replay"]
    assert found == {"pieces": ["5", "6", "7"], "commit": [2, 0, 1]}
    given_last = rollout(given=np.array([False, False, True]))
    assert replay(given_last, numbers)["replay"] == {"pieces": ["5", "6"], "commit": [2, 0]}


def test_a_character_of_several_tokens_is_read_with_the_last_of_them():
    """Tokens are bytes here, some of which make up no character."""
    tokens = np.array([*"né😀".encode(), 0xFF, *b"!"])
    commit = np.array([0, 2, 1, 3, 4, 6, 5, 7, 8])
    found = replay(rollout(tokens=tokens, commit_step=commit), lambda some: bytes(some).decode(errors="replace"))
    pieces = ["n", "é", "", "", "", "😀", "", "\ufffd", "!"]
    assert found["replay"] == {"pieces": pieces, "commit": commit.tolist()}


# A thought of three positions, the last of which is its fill; the start of the image; four codes of which one is given;
# the end of the image.
THOUGHT = {
    "tokens": np.array([5, 6, 0, 90, 100, 101, 102, 103, 91]),
    "commit_step": np.array([1, 0, -1, -1, 3, 2, -1, 3, -1]),
    "given": np.array([0, 0, 1, 1, 0, 0, 1, 0, 1], dtype=bool),
    "image": np.zeros((4, 4, 3), dtype=np.uint8),
}


def test_of_a_drawing_with_a_thought_the_thought_is_text_and_the_codes_are_steps_from_nought():
    drawing = rollout(task="think_image", **THOUGHT)
    assert replay(drawing, numbers)["replay"] == {"pieces": ["5", "6"], "commit": [1, 0]}
    assert drawn_steps(drawing) == [1, 0, -1, 1]


def test_a_drawing_without_a_thought_has_no_text():
    codes = {name: THOUGHT[name][4:] for name in ("tokens", "commit_step", "given")}
    drawing = rollout(task="image", image=THOUGHT["image"], **codes)
    assert replay(drawing, numbers) == {}
    assert drawn_steps(drawing) == [1, 0, -1, 1]


def test_a_drawing_of_which_all_is_given_has_no_steps():
    given_all = {"tokens": np.arange(5), "commit_step": np.full(5, -1), "given": np.ones(5, dtype=bool)}
    assert drawn_steps(rollout(task="image", **given_all, image=THOUGHT["image"])) == [-1] * 4


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_at_most_all_are_spread(rows):
    assert len(choose(step({("", "p"): [1.0] * 5}), rows)) == min(rows, 5)
