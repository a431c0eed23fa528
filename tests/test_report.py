import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.errors import DataError
from unigrpo.report import curve, lines, read_metrics, smooth, table

PNG = b"\x89PNG\r\n\x1a\n"


def run(folder, rows, tail=""):
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    return folder


def width(path) -> int:
    return int.from_bytes(path.read_bytes()[16:20], "big")


def test_a_panel_is_drawn_for_each_metric_that_a_run_has(tmp_path):
    both = run(tmp_path / "a", [{"step": 0, "eval/accuracy": 0.2}, {"step": 1, "reward/mean": 0.1}])
    one = run(tmp_path / "b", [{"step": step, "reward/mean": step / 9} for step in range(60)])
    curve({"a": both, "b": one}, tmp_path / "deep" / "two.png")
    curve({"b": one}, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(PNG)
    assert width(tmp_path / "deep" / "two.png") == 2 * width(tmp_path / "one.png")


def test_points_are_sorted_and_null_is_left_out_and_the_last_of_a_step_counts():
    rows = {"a": [{"step": 2, "x": 2.0}, {"step": 1, "x": 1.0}, {"step": 3, "x": None}, {"step": 2, "x": 9.0}], "b": []}
    assert lines(rows, "x") == {"a": ([1, 2], [1.0, 9.0])}


def test_a_metric_that_no_run_has_is_an_error_that_names_it(tmp_path):
    folder = run(tmp_path / "a", [{"step": 0, "other": 0.2}])
    with pytest.raises(DataError) as caught:
        curve({"a": folder}, tmp_path / "x.png")
    assert str(caught.value) == "Nothing to draw: no run has eval/accuracy or reward/mean in its metrics.jsonl."
    assert not (tmp_path / "x.png").exists()


def test_a_run_without_metrics_is_named(tmp_path):
    with pytest.raises(DataError, match=r"metrics.jsonl cannot be read: name the folder of a run.$"):
        curve({"a": tmp_path}, tmp_path / "x.png")


def test_a_line_that_is_still_being_written_is_left_out_but_a_broken_one_is_not(tmp_path):
    assert read_metrics(run(tmp_path / "a", [{"step": 0}], tail='{"step":')) == [{"step": 0}]
    with pytest.raises(DataError, match=r"holds a line that is not JSON"):
        read_metrics(run(tmp_path / "b", [{"step": 0}], tail='{"step":\n{"step": 1}\n'))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(0, 0.99))
def test_smoothing_is_the_weighted_mean_of_what_came_before(values, decay):
    for last, found in enumerate(smooth(values, decay)):
        weights = [decay ** (last - index) for index in range(last + 1)]
        expected = sum(map(float.__mul__, weights, values)) / sum(weights)
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_table_aligns_numbers_and_leaves_gaps_empty():
    rows = [{"model": "LLa|DA\n8B", "accuracy": 0.61234, "n": 3}, {"model": "MMaDA", "n": None, "note": "x"}]
    assert table(rows) == (
        "| model | accuracy | n | note |\n"
        "| --- | ---: | ---: | --- |\n"
        "| LLa\\|DA 8B | 0.6123 | 3 |  |\n"
        "| MMaDA |  |  | x |\n"
    )
