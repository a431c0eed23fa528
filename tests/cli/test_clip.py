import json

import numpy as np
import pytest
from PIL import Image

from rewards.vision.open_clip_towers import open_clip_towers
from rewards.vision.train_clip import retrieval
from tests.rewards.vision.conftest import TINY
from unigrpo.cli.clip import captioned
from unigrpo.cli.main import main
from unigrpo.config import DataSection

DATA = ["data.source=shapes", "data.task=image", "data.size=60"]
HELD_OUT = ["held_out.source=shapes", "held_out.task=image", "held_out.split=test", "held_out.size=20"]


@pytest.fixture
def settings(tmp_path) -> list[str]:
    (tmp_path / "network.json").write_text(json.dumps(TINY))
    small = [f"network={tmp_path}/network.json", "steps=3", "batch_size=16", "optim.warmup_steps=0", "device=cpu"]
    return [f"output={tmp_path}/run", *small, "cluster.threads=1"]


def test_a_run_leaves_a_model_its_metrics_and_what_it_was_told(settings, tmp_path, capsys):
    assert main(["clip", *settings, *DATA, *HELD_OUT]) == 0
    out = capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 3]
    assert all(np.isfinite(row["clip/loss"]) for row in rows[:3])
    assert out.startswith(f"{tmp_path}/run/model  clip/loss {rows[2]['clip/loss']:.4g}  clip/accuracy ")
    towers = open_clip_towers(f"{tmp_path}/run/model", None, "fp32", "cpu", 8)
    held_out = captioned(DataSection(source="shapes", task="image", split="test", size=20), 32)
    again = retrieval(towers, *held_out)
    assert {name: rows[3][name] for name in again} == pytest.approx(again, abs=1e-6)


def test_it_is_not_overwritten_by_accident(settings, tmp_path, capsys):
    assert main(["clip", *settings, *DATA]) == 0
    assert main(["clip", *settings, *DATA]) == 2
    assert f"{tmp_path}/run already holds a run: add overwrite=true to replace it" in capsys.readouterr().err
    assert main(["clip", *settings, *DATA, "overwrite=true"]) == 0


def test_pictures_in_files_are_made_square_as_the_data_says(settings, tmp_path):
    rows = []
    for name, colour in (("red", (250, 0, 0)), ("blue", (0, 0, 250))):
        Image.new("RGB", (60, 30), colour).save(tmp_path / f"{name}.png")
        rows.append({"prompt": name, "image": f"{name}.png"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataSection(task="image", path=str(tmp_path / "rows.jsonl"), fit="pad")
    images, captions = captioned(data, 32)
    assert captions == ["red", "blue"]
    assert [image.shape for image in images] == [(32, 32, 3)] * 2
    assert images[0][0, 0].tolist() == [255, 255, 255]
    assert images[0][16, 16].tolist() == [250, 0, 0]
    assert main(["clip", *settings, "data.task=image", f"data.path={tmp_path}/rows.jsonl", "data.fit=pad"]) == 0


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["data.task=image", "data.path=none.jsonl"], "none.jsonl does not exist"),
        (["data.task=image", "data.path={tmp}/words.jsonl"], "words.jsonl line 1: there is no column `image`"),
        ([*DATA, "network=nowhere.json"], "nowhere.json: no such file."),
        (
            [*DATA, "data.kinds=[single]", "data.limit=1"],
            "All captions are equal",
        ),
    ],
)
def test_bad_input_leaves_nothing_behind(settings, tmp_path, capsys, more, expected):
    (tmp_path / "words.jsonl").write_text('{"prompt": "a"}\n')
    assert main(["clip", *settings, *(word.format(tmp=tmp_path) for word in more)]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
