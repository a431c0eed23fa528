"""The paths of a run, for workers that start in another folder."""

from actors.cluster import absolute
from unigrpo.config import DataSection, ModelSection, RewardEntry, TaskSection, TrainConfig


def test_what_names_a_place_is_made_absolute_and_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("models", "models/clip", "word"):
        (tmp_path / folder).mkdir()
    args = {"model": "models/clip", "several": ["models/clip", "no/such"], "mode": "word", "weight": 2}
    reward = RewardEntry(path="mine.py:reward", python="env/bin/python", args=args)
    task = TaskSection(data=DataSection(path="s3://bucket/a.jsonl"), rewards={"named": RewardEntry(python="python3")})
    config = TrainConfig(output="run", model=ModelSection(path="sft"), rewards={"mine": reward}, tasks={"ask": task})
    found = absolute(config)
    assert (found.output, found.model.path) == (f"{tmp_path}/run", f"{tmp_path}/sft")
    assert found.rewards["mine"].path == f"{tmp_path}/mine.py:reward"
    assert found.rewards["mine"].python == f"{tmp_path}/env/bin/python"
    clip = f"{tmp_path}/models/clip"
    assert found.rewards["mine"].args == {"model": clip, "several": [clip, "no/such"], "mode": "word", "weight": 2}
    assert found.tasks["ask"].data.path == "s3://bucket/a.jsonl"
    assert found.tasks["ask"].rewards["named"] == RewardEntry(python="python3")
