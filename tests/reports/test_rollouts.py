"""Rollouts, replays and drawings that a page shows."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.reports import runs
from unigrpo.reports import drawings
from unigrpo.reports.replays import of_drawing, of_text, ranks
from unigrpo.reports.rollouts import EACH, STEPS, read_steps, told_replays, told_steps
from unigrpo.reports.series import MOST, series, thinned


def shown(folder, verb="train", wanted=()):
    return told_steps(read_steps(verb, folder, wanted))


def test_the_last_step_comes_first_and_rollouts_of_a_prompt_stand_side_by_side_by_reward(tmp_path):
    rows = [runs.rollout(1, 0, 0.0), runs.rollout(2, 0, 0.25), runs.rollout(2, 1, 1.0), runs.rollout(2, 2, 0.5)]
    runs.lines(tmp_path / "rollouts.jsonl", rows)
    last, first = shown(tmp_path)
    assert (last.title, first.title) == ("step 2", "step 1")
    (group,) = last.groups
    assert [(card.reward, card.index) for card in group.cards] == [("1", "1"), ("0.5", "2"), ("0.25", "0")]


def test_what_a_run_called_best_is_called_so_and_of_older_runs_it_is_found_among_what_was_kept(tmp_path):
    rows = [runs.rollout(2, 0, 0.2), runs.rollout(2, 1, 0.4, chosen="best"), runs.rollout(2, 2, 0.9)]
    runs.lines(tmp_path / "rollouts.jsonl", rows)
    assert [card.place for card in shown(tmp_path)[0].groups[0].cards] == ["", "best", ""]
    runs.lines(tmp_path / "rollouts.jsonl", [{k: v for k, v in row.items() if k != "chosen"} for row in rows])
    places = [card.place for card in shown(tmp_path)[0].groups[0].cards]
    assert places == ["best of those kept", "median of those kept", "worst of those kept"]


def test_some_steps_are_chosen_or_those_that_are_asked_for(tmp_path):
    runs.lines(tmp_path / "rollouts.jsonl", [runs.rollout(step, 0, 1.0) for step in range(10, 1000, 10)])
    titles = [step.title for step in shown(tmp_path)]
    assert len(titles) == STEPS
    assert (titles[0], titles[-1]) == ("step 990", "step 10")
    assert [step.title for step in shown(tmp_path, wanted=[30, 20, 25])] == ["step 30", "step 20"]


@pytest.mark.parametrize("tail", ['{"step": 2, "id": "2/p/0", "out', '{"step": 2, broken}\n', "[1]\n", '{"step": 2}\n'])
def test_a_line_that_is_half_written_or_broken_stops_nothing(tmp_path, tail):
    runs.lines(tmp_path / "rollouts.jsonl", [runs.rollout(1, 0, 1.0)], tail)
    assert [len(step.groups) for step in shown(tmp_path) if step.groups] == [1]


def test_of_an_evaluation_the_extremes_of_each_task_are_shown(tmp_path):
    (step,) = shown(runs.evaluated(tmp_path / "eval"), "eval")
    places = [card.place for group in step.groups for card in group.cards]
    assert {place: places.count(place) for place in set(places)} == dict.fromkeys(("best", "median", "worst"), EACH)


def test_a_reward_that_is_not_known_is_said(tmp_path):
    runs.lines(tmp_path / "rollouts.jsonl", [runs.rollout(1, 0, None)])
    (card,) = shown(tmp_path)[0].groups[0].cards
    assert (card.reward, card.parts) == ("not known", {"math": "failed"})


def test_commit_steps_are_counted_by_those_that_committed_anything():
    assert ranks([7, -1, 3, 7, 9]) == ([2, 0, 1, 2, 3], 3)
    assert ranks([-1]) == ([0], 0)


def test_a_replay_of_text_has_its_pieces_in_order_with_their_steps():
    row = runs.rollout(3, 0, 0.5, chosen="best", replay={"pieces": ["a", "b", "c"], "commit": [4, 0, 0]})
    (found,) = told_replays([("step 3", [row, runs.rollout(3, 1, 0.5)])])
    assert (found.title, found.steps) == ("step 3, best, reward 0.5", 2)
    assert found.tokens == [("a", 2), ("b", 1), ("c", 1)]
    assert of_text("", row | {"replay": {"pieces": ["a"], "commit": []}}) is None
    assert of_text("", row | {"replay": {}}) is None


def test_a_replay_of_a_drawing_covers_the_codes_of_a_square():
    row = {"task": "draw", "prompt": "a circle", "commit": "5 0 -1 0", "reward": 1.0, "thought": "round"}
    found = of_drawing("step 3", row, "data:")
    assert found
    assert (found.codes, found.steps, found.side) == ([2, 1, 0, 1], 2, 2)
    assert found.caption == "a circle (round)"
    for wrong in ("", "1 2 3", "a b c d", None):
        assert of_drawing("", row | {"commit": wrong}, "") is None


def test_drawings_of_the_same_prompts_stand_below_each_other_step_by_step(tmp_path):
    runs.pictures(tmp_path, steps=(0, 12))
    found = drawings.evaluations(tmp_path)
    (grid,) = drawings.grids(found)
    assert grid.prompts == ["a red square", "a blue circle"]
    assert [step for step, _ in grid.rows] == ["step 0", "step 12"]
    assert [(it.reward, it.parts) for it in grid.rows[1][1] if it] == [("12.5", "shapes 1")] * 2
    assert [replay.codes for replay in drawings.replays(found)] == [[3, 1, 2, 4]] * 2


def test_an_index_can_name_no_file_outside_its_folder_and_a_missing_picture_leaves_a_gap(tmp_path):
    runs.pictures(tmp_path, steps=(0,))
    index = tmp_path / "pictures/step-000000/index.json"
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "secret.png")
    index.write_text(json.dumps([row | {"file": "../../secret.png"} for row in json.loads(index.read_text())]))
    found = drawings.evaluations(tmp_path)
    assert drawings.grids(found)[0].rows[0][1] == [None, None]
    assert drawings.replays(found) == []


def test_large_pictures_are_made_smaller_and_small_ones_stay_as_they_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert len(drawings.thumbnail(tmp_path / "a.png", 160) or "") < 60_000 < (tmp_path / "a.png").stat().st_size
    Image.fromarray(noise[:16, :16]).save(tmp_path / "b.png")
    assert (drawings.thumbnail(tmp_path / "b.png", 160) or "").startswith("data:image/png")
    (tmp_path / "c.png").write_text("no picture")
    assert drawings.thumbnail(tmp_path / "c.png", 160) is None


def test_a_long_line_keeps_its_ends_and_its_peak():
    values = [0.0] * 100_000
    values[54_321], values[12_345] = 9.0, -9.0
    steps, kept = thinned((list(range(len(values))), values))
    assert len(steps) <= MOST
    assert (steps[0], steps[-1], max(kept), min(kept)) == (0, 99_999, 9.0, -9.0)
    assert all(values[step] == value for step, value in zip(steps, kept, strict=True))


def test_a_step_that_was_logged_twice_counts_once_and_speed_is_by_the_step():
    rows = [
        {"step": 2, "a": 1.0},
        {"step": 1, "a": 2.0, "policy/tokens": 50.0, "time/step": 2.0},
        {"step": 2, "a": 3.0},
    ]
    found = series([*rows, {"step": 3, "a": None}])
    assert found["a"] == ([1, 2], [2.0, 3.0])
    assert found["speed/tokens_per_second"] == ([1], [25.0])
