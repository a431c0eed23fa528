"""What trials came to, from the files that runs write."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from unigrpo.config import AxisSection
from unigrpo.sweeps import page, plots, tables
from unigrpo.sweeps.points import Point
from unigrpo.sweeps.results import Outcome, logged, summaries, verdict, winner
from unigrpo.sweeps.statistics import quantile

METRIC = "eval/accuracy"
AXES = {"mu": AxisSection(key="algo.mu", values=[1, 2])}


def trial(folder: Path, mu: int, seed: int, curve: list[float], state: str = "done") -> Outcome:
    """A run that logged a held-out accuracy every ten steps, and a reward in each of them."""
    run = folder / f"mu-{mu}" / f"seed-{seed}"
    run.mkdir(parents=True)
    rows = [{"step": 10 * index, METRIC: value} for index, value in enumerate(curve)]
    rows += [{"step": step, "reward/mean": float(step)} for step in range(1, 10 * len(curve) - 9)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Outcome(point=Point(f"mu-{mu}", {"mu": mu}), seed=seed, state=state, folder=run, logged=logged(run))


@pytest.fixture
def outcomes(tmp_path):
    """Point 2 is better by 0.1 with every seed, and seeds differ by much more."""
    curves = {0: [0.2, 0.3, 0.25], 1: [0.4, 0.6, 0.65], 2: [0.1, 0.2, 0.15]}
    return [
        trial(tmp_path, mu, seed, [value + 0.1 * (mu - 1) for value in curve])
        for seed, curve in curves.items()
        for mu in (1, 2)
    ]


def test_final_is_the_last_evaluation_and_best_the_highest_one(outcomes):
    assert outcomes[0].final(METRIC) == 0.25
    assert outcomes[0].best(METRIC, "max") == (0.3, 10)
    assert outcomes[0].best(METRIC, "min") == (0.2, 0)
    assert outcomes[0].steps == 20


def test_final_of_what_each_step_measures_is_a_mean_of_the_last_steps(outcomes):
    assert outcomes[0].final("reward/mean") == sum(range(16, 21)) / 5


def test_points_are_compared_by_means_and_by_differences_within_seeds(outcomes):
    first, second = summaries(outcomes, [METRIC], "max")
    values = [0.25, 0.65, 0.15]
    mean = sum(values) / 3
    spread = (sum((value - mean) ** 2 for value in values) / 2) ** 0.5
    assert first.final[METRIC].mean == pytest.approx(mean)
    assert first.final[METRIC].half == pytest.approx(quantile(2) * spread / 3**0.5)
    assert second.behind is None
    assert first.behind.mean == pytest.approx(-0.1)
    assert first.behind.half == pytest.approx(0, abs=1e-9)
    assert "mu-2 has the best mean" in verdict([first, second], METRIC)
    assert "ahead of every other point" in verdict([first, second], METRIC)


def test_with_mode_min_less_is_better(outcomes):
    assert winner(outcomes, METRIC, "max").name == "mu-2"
    assert winner(outcomes, METRIC, "min").name == "mu-1"


def test_points_that_chance_could_have_ordered_are_not_told_apart(tmp_path):
    pairs = {0: (0.5, 0.7), 1: (0.5, 0.4), 2: (0.5, 0.5)}
    found = [trial(tmp_path, mu, seed, [pair[mu - 1]]) for seed, pair in pairs.items() for mu in (1, 2)]
    assert "can be told apart from none" in verdict(summaries(found, [METRIC], "max"), METRIC)


def test_a_trial_that_failed_counts_for_nothing_but_is_counted(tmp_path):
    found = [trial(tmp_path, 1, 0, [0.5]), trial(tmp_path, 1, 1, [0.9], state="failed")]
    (one,) = summaries(found, [METRIC], "max")
    assert (one.final[METRIC].mean, one.seeds, one.failed) == (0.5, 1, 1)


def test_a_point_that_was_ended_early_does_not_win(tmp_path):
    found = [trial(tmp_path, 1, 0, [0.5]), trial(tmp_path, 2, 0, [0.9], state="stopped")]
    assert winner(found, METRIC, "max").name == "mu-1"


def test_a_point_that_has_only_the_easy_seed_is_compared_by_that_seed(tmp_path):
    """Seed 1 is easy; point 2 is better with it by 0.1, point 1 has the higher mean for it lacks the hard one."""
    states = {(1, 0): "cut", (1, 1): "done", (2, 0): "done", (2, 1): "done"}
    values = {(1, 0): [0.1], (1, 1): [0.8], (2, 0): [0.2], (2, 1): [0.9]}
    found = [trial(tmp_path, *key, values[key], state=states[key]) for key in values]
    assert winner(found, METRIC, "max").name == "mu-2"
    assert winner(found, METRIC, "min").name == "mu-1"
    assert "mu-2 has the best mean of eval/accuracy over the seeds that points share: 0.55" in verdict(
        summaries(found, [METRIC], "max"), METRIC
    )


def test_a_point_with_a_failed_trial_is_best_only_among_such(tmp_path):
    found = [trial(tmp_path, 1, 0, [0.9]), trial(tmp_path, 1, 1, [0.1], state="failed"), trial(tmp_path, 2, 0, [0.5])]
    assert winner(found, METRIC, "max").name == "mu-2"
    assert winner(found[:2], METRIC, "max").name == "mu-1"


def test_without_a_seed_in_common_the_best_is_named_and_nothing_told_apart(tmp_path):
    found = [trial(tmp_path, 1, 0, [0.1]), trial(tmp_path, 2, 1, [0.9])]
    said = verdict(summaries(found, [METRIC], "max"), METRIC)
    assert said.startswith("mu-2 has the best mean")
    assert "told apart from none" in said


def test_tables_hold_the_numbers(outcomes):
    found = summaries(outcomes, [METRIC, "reward/mean"], "max")
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(tables.point_rows(found, [METRIC, "reward/mean"])))))
    assert [row["mu"] for row in rows] == ["1", "2"]
    assert float(rows[1][f"{METRIC} final"]) == pytest.approx(0.45)
    assert rows[1][f"{METRIC} behind the best"] == ""
    trials = list(csv.DictReader(io.StringIO(tables.to_csv(tables.trial_rows(outcomes, [METRIC], "max")))))
    assert [(row["mu"], row["seed"], row["state"]) for row in trials][:2] == [("1", "0", "done"), ("2", "0", "done")]
    assert "0.35 ± 0.66" in tables.point_table(found, [METRIC])


def test_a_curve_is_the_mean_over_seeds_and_its_band_what_is_left_within_them(outcomes):
    found = plots.bands(plots.groups(outcomes, "mu", AXES["mu"]), METRIC)
    assert {name: list(curve) for name, curve in found.items()} == {"1": [0, 10, 20], "2": [0, 10, 20]}
    assert [one.mean for one in found["1"].values()] == pytest.approx([0.7 / 3, 1.1 / 3, 1.05 / 3])
    assert [one.half for one in found["1"].values()] == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_group_of_several_points_counts_each_seed_once(outcomes):
    (curve,) = plots.bands({"all": outcomes}, METRIC).values()
    assert curve[0].mean == pytest.approx(0.7 / 3 + 0.05)
    assert curve[0].count == 3
    assert plots.finals(outcomes, METRIC) == pytest.approx({0: 0.3, 1: 0.7, 2: 0.2})


def test_a_seed_that_lacks_a_point_is_no_mean_over_other_points(tmp_path):
    found = [trial(tmp_path, mu, seed, [0.1 * mu]) for seed in (0, 1) for mu in (1, 2, 3)]
    (curve,) = plots.bands({"all": found[:-1]}, METRIC).values()
    assert plots.finals(found[:-1], METRIC) == pytest.approx({0: 0.2})
    assert (curve[0].mean, curve[0].count) == (pytest.approx(0.2), 1)


def test_a_range_with_many_values_is_drawn_in_parts_of_equal_size(tmp_path):
    found = [trial(tmp_path, index, 0, [index / 20]) for index in range(12)]
    groups = plots.groups(found, "mu", AxisSection(key="algo.mu", low=0, high=11, integer=True))
    assert {name: len(trials) for name, trials in groups.items()} == {"0 to 3": 4, "4 to 7": 4, "8 to 11": 4}


def test_pictures_and_page_are_made_for_each_metric_that_was_logged(outcomes, tmp_path):
    metrics = [METRIC, "reward/mean", "no/such"]
    drawn = plots.pictures(outcomes, AXES, metrics, "max", tmp_path / "plots")
    assert [path.name for path in drawn] == ["eval_accuracy--mu.png", "reward_mean--mu.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    page.write(tmp_path / "report.html", "Sweep", outcomes, summaries(outcomes, metrics, "max"), metrics, drawn)
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/png") == 2
    assert "mu-2 has the best mean" in text


@pytest.mark.filterwarnings("error")
def test_long_choices_leave_room_for_the_picture(outcomes, tmp_path):
    texts = {1: "Think. " * 60 + "a", 2: "Think. " * 60 + "b"}
    drawn = [replace(one, point=Point(one.point.name, {"ask": texts[one.point.choices["mu"]]})) for one in outcomes]
    axis = AxisSection(key="data.instruction", values=list(texts.values()))
    assert plots.picture(drawn, "ask", axis, METRIC, "max", tmp_path / "picture.png")


def test_a_trial_without_metrics_is_no_error(tmp_path):
    one = Outcome(point=Point("x", {"mu": 1}), seed=0, state="not run", folder=tmp_path, logged=logged(tmp_path))
    assert (one.steps, one.final(METRIC), one.best(METRIC, "max")) == (0, None, None)
    assert verdict(summaries([one], [METRIC], "max"), METRIC) == f"No trial that has ended has {METRIC}."
