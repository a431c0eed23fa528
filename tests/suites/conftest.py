import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import SIZES
from tests.e2e.runs import ONE, run
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.models.seeding import private_seed

SFT = """
    model.preset=tiny model.vocab_size=268 model.device=cpu cluster.threads=1 steps=150 optim.lr=3e-3
    data.source=arithmetic data.template=plain data.digits=1 data.size=60 sft.batch_size=20 sft.micro_batch=20
    checkpoint.every=150
""".split()  # noqa: SIM905
SMALL = [ONE, "rollout.gen_length=4", "rollout.block_length=4", "rollout.steps=2"]
"""Settings that answer in a moment."""


@pytest.fixture(scope="session")
def sft(tmp_path_factory) -> Path:
    """A model that has seen a few one-digit sums; nothing may write there."""
    folder = tmp_path_factory.mktemp("sft") / "run"
    run(["sft", *SFT, f"output={folder}"])
    return folder


@pytest.fixture
def evaluated(sft, tmp_path):
    """Evaluates the model, and returns metrics.json and the rows of samples.jsonl."""

    def evaluate(*args: str, name: str = "eval") -> tuple[dict, list[dict]]:
        folder = tmp_path / name
        run(["eval", f"model.path={sft / 'model'}", *args, f"output={folder}"])
        rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        return json.loads((folder / "metrics.json").read_text()), rows

    return evaluate


@pytest.fixture
def written(tmp_path):
    """Writes rows as .jsonl into a folder and returns its path."""

    def write(name: str, *rows: dict) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def seeing(tmp_path_factory) -> Path:
    """A run of a model of random weights that reads and draws pictures of 32 x 32; nothing may write there."""
    folder = tmp_path_factory.mktemp("seeing")
    with private_seed(0):
        save_magvit(Magvit(SIZES), folder / "vq")
    data = "{task: understand, source: shapes, template: plain, size: 40}"
    model = ["model.preset=tiny", "model.vocab_size=300", "model.device=cpu", "model.image_tokenizer.resolution=32"]
    args = [*model, f"model.image_tokenizer.path={folder / 'vq'}", f"data={data}", "sft.batch_size=8"]
    run(["sft", *args, ONE, "steps=8", "optim.lr=1e-2", "checkpoint.every=8", f"output={folder / 'run'}"])
    return folder / "run"


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / "data/pictures"
    folder.mkdir(parents=True)
    for number in range(3):
        level = np.full((24, 40, 3), 80 * number, dtype=np.uint8)
        for name in (f"{number}.jpg", f"{number}.png", f"COCO_val2014_{number:012d}.jpg"):
            Image.fromarray(level).save(folder / name)
    return folder
