"""A whole run with rewards of every kind a user may write."""

import json
from pathlib import Path

import pytest

from tests.e2e.runs import metrics
from tests.e2e.test_rewards import SIX_LINES, finish, start

pytestmark = [pytest.mark.ray, pytest.mark.slow]
CLASS = """
from rewards import Score

class Brief:
    def __init__(self, limit: int):
        self.limit = limit

    def __call__(self, responses):
        return [Score(max(0.0, 1 - len(r) / self.limit), parts={"length": len(r)}) for r in responses]
"""
AWAITED = """
import asyncio

async def patient(response: str, answer: str) -> float | None:
    await asyncio.sleep(0.01)
    return float(response[:1] == answer[:1])
"""
LIMITED = """
def bounded(response: str, answer: str) -> float:
    while response != answer and response.count("1"):
        pass
    return float(response == answer)
"""
PACKAGE = """
from rewards import reward

@reward("shout", tasks=("text",), group=True)
def shout(responses):
    return [float(r == max(responses, key=len)) for r in responses]
"""


def installed(folder: Path) -> str:
    """A folder that holds an installed package with an entry point."""
    (folder / "shouting.py").write_text(PACKAGE)
    (info := folder / "shouting-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[unigrpo.rewards]\nshout = shouting:shout\n")
    return str(folder)


def test_a_file_a_class_an_awaited_one_one_with_a_limit_and_an_installed_one_in_one_ray_run(tmp_path):
    (tmp_path / "packages").mkdir()
    for name, source in (("digits", SIX_LINES), ("brief", CLASS), ("patient", AWAITED), ("bounded", LIMITED)):
        (tmp_path / f"{name}.py").write_text(source)
    finish(
        start(
            tmp_path,
            "rewards.digits.path=digits.py:digits",
            "rewards.brief={path: brief.py:Brief, args: {limit: 8}, weight: 0.1}",
            "rewards.patient={path: patient.py:patient, requires: [digits]}",
            "rewards.bounded={path: bounded.py:bounded, timeout: 0.3}",
            "rewards.shout.weight=0.1",
            "cluster.reward_workers=2",
            "output=run",
            PYTHONPATH=installed(tmp_path / "packages"),
        )
    )
    steps = [row for row in metrics(tmp_path / "run") if "reward/mean" in row]
    assert len(steps) == 4
    for row in steps:
        assert {"digits", "brief", "brief/length", "patient", "bounded", "shout"} <= {
            name.removeprefix("reward/") for name in row
        }
        assert row["reward/failed"] == 0
        assert row["reward/shout"] > 0
    assert any(row.get("reward/bounded/timeout", 0) > 0 for row in steps)
    times = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(row["time/reward/patient"] > 0 for row in times if "reward/mean" in row)
