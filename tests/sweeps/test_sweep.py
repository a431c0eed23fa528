"""A sweep under Ray Tune: real runs, of which one fails."""

import csv
import json

import pytest
import yaml

from tests.sweeps.test_plan import TRAIN
from unigrpo.cli.main import main
from unigrpo.cli.sweep_jobs import STOP

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_trials_are_runs_and_one_that_fails_leaves_the_others_alone(tmp_path, capsys):
    (tmp_path / "gone.py").write_text("def here(response):\n    return 0.0\n")
    (tmp_path / "bad.yaml").write_text(f"rewards: {{bad: {{path: '{tmp_path}/gone.py:gone', weight: 1.0}}}}\n")
    axes = {"rewards": {"overlays": {"good": [], "bad": [str(tmp_path / "bad.yaml")]}}}
    plain = {"output": str(tmp_path / "out"), "settings": TRAIN, "axes": axes}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / STOP).touch()  # as a sweep leaves it that was told to stop, and killed before it had
    assert main(["sweep", str(tmp_path / "sweep.yaml")]) == 1
    shown = capsys.readouterr().out

    run = tmp_path / "out" / "trials" / "rewards-good" / "seed-0"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    final = [row["eval/accuracy"] for row in rows if "eval/accuracy" in row][-1]
    with (tmp_path / "out" / "table.csv").open() as file:
        good, bad = csv.DictReader(file)
    assert (good["rewards"], good["n"], float(good["eval/accuracy final"])) == ("good", "1", final)
    assert (bad["n"], bad["failed"], bad["eval/accuracy final"]) == ("0", "1", "")
    assert "failed: rewards-bad, seed 0: unigrpo: error:" in shown
    assert "gone.py" in shown
    assert (tmp_path / "out" / "plots" / "eval_accuracy--rewards.png").is_file()

    assert main(["sweep", str(tmp_path / "sweep.yaml"), "--plan"]) == 0
    plan = capsys.readouterr().out
    assert "| rewards-good/seed-0 | done before | unchanged |" in plan
    assert "| rewards-bad/seed-0 | go on | failed: unigrpo: error:" in plan
