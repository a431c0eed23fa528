"""Stand-ins for the pages on which models are asked: a model, runs, prompts, pictures and test files."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.docs.pages import fences
from tests.e2e.conftest import SIZES
from tests.e2e.runs import SFT, run, train_args
from unigrpo.models.magvit import Magvit
from unigrpo.models.magvit_folder import save_magvit
from unigrpo.models.seeding import private_seed


def rows(name: str, *items: dict) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(json.dumps(item) + "\n" for item in items))


def evaluation() -> None:
    """A model, a run, test files as they are published, and the protocol that the page shows."""
    run(["sft", *SFT, "output=sft", "steps=1"])
    Path("MODEL").symlink_to("sft/model")
    run(train_args(Path(), Path("RUN"), "cluster.backend=local", "steps=1"))
    sums = [{"question": f"{n}+{n}=", "answer": f"so\n#### {2 * n}"} for n in range(4)]
    texts = ["1", "2", "3", "4"]
    asked = [{"question": "1+1=", "choices": texts, "answer": n % 4, "subject": "sums"} for n in range(6)]
    rows("test.jsonl", *sums)
    rows("FOLDER/gsm8k/test.jsonl", *sums)
    rows(
        "FOLDER/math500/test.jsonl",
        {"problem": "1+1=", "answer": "2", "unique_id": "1", "subject": "Algebra", "level": 1},
    )
    for name in ("test", "dev"):
        rows(f"FOLDER/mmlu/{name}.jsonl", *asked)
    choices = [{"text": text, "label": label} for text, label in zip(texts, "ABCD", strict=True)]
    arc = {"id": "1", "question": {"stem": "1+1=", "choices": choices}, "answerKey": "B"}
    rows("FOLDER/arc/ARC-Challenge-Test.jsonl", arc)
    Path("mine.yaml").write_text(next(text for _, text in fences("docs/evaluation.md", "yaml") if "protocol:" in text))
    capital = {"question": "Where?", "choices": ["Rome", "Oslo"], "answer": "A", "continent": "Europe"}
    rows("capitals.jsonl", capital)
    rows("solved.jsonl", *[capital | {"question": f"Where {n}?"} for n in range(3)])


def generate() -> None:
    """A run of sums, one that sees and draws pictures of 128 x 128, a photograph and files of prompts."""
    run(train_args(Path(), Path("runs/quickstart/unigrpo"), "cluster.backend=local", "steps=1"))
    with private_seed(0):
        save_magvit(Magvit(SIZES), Path("vq"))
    data = "data={task: understand, source: shapes, template: plain, size: 40}"
    model = ["model.image_tokenizer.path=vq", "model.image_tokenizer.resolution=128", "model.vocab_size=300"]
    run(["sft", *SFT, data, *model, "output=RUN", "steps=1"])
    Image.fromarray(np.zeros((128, 128, 3), dtype=np.uint8)).save("photo.png")
    rows("prompts.jsonl", {"prompt": "What is this?", "image": "photo.png"})
    Path("prompts.txt").write_text("1+2=\n3+4=\n")
    Path("captions.csv").write_text("caption\na red circle\n")
