"""`unigrpo report`: from folders of runs to a page."""

import json
import re

import pytest

from tests.reports import runs
from unigrpo.cli.main import main
from unigrpo.config import OptimSection
from unigrpo.errors import DataError
from unigrpo.reports.compare import differences
from unigrpo.reports.runs import find_runs, names


def report(capsys, *args) -> str:
    assert main(["report", *map(str, args)]) == 0
    return capsys.readouterr().out


def refused(capsys, *args) -> str:
    assert main(["report", *map(str, args)]) == 2
    return capsys.readouterr().err


def text_of(file) -> str:
    return re.sub(r"\s+", " ", file.read_text(encoding="utf-8"))


def test_the_page_of_one_run_is_in_its_folder_and_has_all_of_it(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl", optim=OptimSection(lr=0.125))
    assert f"{run}/report.html" in report(capsys, run)
    page = text_of(run / "report.html")
    titles = re.findall(r'aria-label="([^".]+)\. ', page)
    assert titles[:3] == ["Held-out accuracy", "Reward", "KL to the reference"]
    assert {"Reward math", "Groups with equal rewards", "Speed", "Memory", "Time of its parts"} <= set(titles)
    assert '<td>eval/accuracy</td><td class="n">25.0%</td><td class="n">75.0% (step 12)</td>' in page
    assert '<tr><td>learn</td><td class="n">0:18</td><td class="n">1.5 s</td><td class="n">75%</td></tr>' in page
    assert '<td>steps per hour</td><td class="n">1800</td>' in page
    assert page.count('class="replay"') == 4
    assert "<mark>7</mark>" in page
    assert "<del>7</del>" in page
    assert "<code>optim.lr</code></td><td><code>0.125</code>" in page


def test_the_same_runs_give_the_same_page_and_it_may_be_written_again(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl")
    report(capsys, run)
    before = (run / "report.html").read_bytes()
    report(capsys, run)
    assert (run / "report.html").read_bytes() == before


def test_several_runs_are_drawn_together_and_only_settings_that_differ_are_told(tmp_path, capsys):
    one = runs.trained(tmp_path / "one", seed=1)
    two = runs.trained(tmp_path / "two", optim=OptimSection(lr=0.125), tasks=runs.tasks(sums=2.0))
    out = tmp_path / "page.html"
    report(capsys, one, two, runs.evaluated(tmp_path / "eval"), f"output={out}")
    page = text_of(out)
    assert "Held-out accuracy: eval/accuracy. one ends at 75.0%; two ends at 75.0%" in page
    # Each panel once, for both.
    assert page.count('aria-label="KL to the reference.') == 1
    assert "25.0% → 75.0%" in page
    (differ,) = differences(find_runs([str(one), str(two), str(tmp_path / "eval")]))
    found = dict(differ.rows)
    assert found["seed"] == [("1", False), ("0", True)]
    assert found["optim.lr"][1] == ("0.125", False)
    assert found["tasks.sums.weight"] == [("", True), ("2.0", False)]
    assert "output" not in found
    assert "steps" not in found


def test_evaluations_are_put_beside_each_other(tmp_path, capsys):
    report(
        capsys, runs.evaluated(tmp_path / "a", 3), runs.evaluated(tmp_path / "b", 6), f"output={tmp_path / 'c.html'}"
    )
    assert '<td>eval/accuracy</td><td class="n">25.0%</td><td class="n">50.0%</td>' in text_of(tmp_path / "c.html")


def test_a_pipeline_stands_for_its_stages_in_order(tmp_path, capsys):
    runs.trained(tmp_path / "all/b_first")
    runs.evaluated(tmp_path / "all/a_last")
    (tmp_path / "all/stages.json").write_text('{"b_first": {}, "a_last": {}, "never": {}}')
    assert [run.name for run in find_runs([str(tmp_path / "all")])] == ["b_first", "a_last"]
    report(capsys, tmp_path / "all", f"output={tmp_path / 'page.html'}")


def test_a_sweep_stands_for_its_trials(tmp_path, capsys, monkeypatch):
    (tmp_path / "trials.json").write_text('{"mu=1/seed-0": {}, "mu=2/seed-0": {}, "mu=4/seed-0": {}}')
    for mu in (1, 2):
        runs.trained(tmp_path / f"trials/mu={mu}/seed-0")
    (tmp_path / "report.html").write_text("the sweep's own")
    monkeypatch.chdir(tmp_path / "trials")
    report(capsys, "..")
    text = text_of(tmp_path / "trials/report.html")
    assert "mu=1/seed-0" in text
    assert "mu=2/seed-0" in text
    assert (tmp_path / "report.html").read_text() == "the sweep's own"


def test_a_run_that_goes_on_has_a_last_line_that_is_half_written(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl")
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        with (run / name).open("a") as file:
            file.write('{"step": 13, "rew')
    report(capsys, run)
    assert '<span class="state not">not done</span>' in text_of(run / "report.html")


def test_what_is_worth_a_look_is_printed(tmp_path, capsys):
    run = runs.begin(tmp_path / "sft", "sft")
    runs.lines(run / "metrics.jsonl", [{"step": step, "sft/loss": float(step)} for step in range(1, 9)])
    assert "sft: sft/loss did not fall." in report(capsys, run)


def test_a_config_of_another_version_is_told_as_it_stands(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl")
    text = (run / "config.yaml").read_text() + "setting_of_old: 7\n"
    (run / "config.yaml").write_text(text)
    report(capsys, run)
    assert "<code>setting_of_old</code></td><td><code>7</code>" in text_of(run / "report.html")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "none", "none does not exist: name the folder of a run"),
        (lambda folder: folder, "is no run: it has no config.yaml"),
        (lambda folder: runs.trained(folder / "rl") / "pictures", "Did you mean"),
        (lambda folder: runs.trained(folder / "rl").parent, "It holds runs:"),
        (
            lambda folder: runs.begin(folder / "rl"),
            "nothing to report yet: it was begun, but no step",
        ),
    ],
)
def test_a_folder_without_a_run_is_one_line(tmp_path, capsys, make, expected):
    error = refused(capsys, make(tmp_path))
    assert expected in error
    assert error.count("\n") == 1


def test_broken_metrics_are_one_line(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl")
    (run / "metrics.jsonl").write_text("{broken\n")
    assert "holds a line that is not JSON" in refused(capsys, run)


def test_no_other_file_is_replaced(tmp_path, capsys):
    run, other = runs.trained(tmp_path / "rl"), tmp_path / "mine.html"
    other.write_text("mine")
    assert "is there already and is no report" in refused(capsys, run, f"output={other}")
    assert other.read_text() == "mine"
    assert "name a file that ends in .html" in refused(capsys, run, f"output={tmp_path / 'page.pdf'}")


def test_no_run_at_all_is_an_error(capsys):
    assert "runs is empty" in refused(capsys)


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    assert names([tmp_path / "a/rl", tmp_path / "b/rl"]) == ["a/rl", "b/rl"]
    assert names([tmp_path / "a/rl", tmp_path / "a/sft"]) == ["rl", "sft"]


def test_a_pipeline_that_has_not_begun_is_said(tmp_path):
    (tmp_path / "stages.json").write_text(json.dumps({"sft": {}}))
    with pytest.raises(DataError, match=r"nothing that stages\.json names has begun"):
        find_runs([str(tmp_path)])


def test_rollouts_of_the_steps_that_are_asked_for_are_shown(tmp_path, capsys):
    run = runs.trained(tmp_path / "rl")
    report(capsys, run, "steps=[6]")
    assert re.findall(r"<summary>(step \d+)</summary>", text_of(run / "report.html")) == ["step 6"]
    (run / "report.html").unlink()
    assert "steps=[7]: rollouts of none of them were logged" in refused(capsys, run, "steps=[7]")
    assert not (run / "report.html").exists()
