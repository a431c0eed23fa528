import json
import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = Path(__file__).parents[2] / "scripts/faults/trials.py"


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_whose_node_goes_while_another_joins_ends_with_the_same_weights(tmp_path):
    words = [sys.executable, str(TRIALS), "--trials", "1", "--kinds", "raylet of a node", "--out", str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trials = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert trials
    assert all(trial["equal"] and trial["status"] == 0 for trial in trials)
