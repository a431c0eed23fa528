"""Suites about pictures, in the layouts of their own files, by a model of random weights."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.e2e.runs import ONE, run
from unigrpo.cli.main import main

SHORT = [ONE, "rollout.gen_length=4", "rollout.block_length=4", "data.template=plain"]
DETECTOR = '''
def see(images):
    """A bench in every second picture."""
    return [[{"class": "bench", "score": 0.9, "box": [0, 0, 9, 9]}] * (at % 2) for at in range(len(images))]
'''


@pytest.fixture
def suite(seeing, tmp_path, pictures):
    """Evaluates a suite on files of its own kind, and returns its metrics.json and the rows of samples.jsonl."""

    def evaluate(name: str, files: dict, *args: str) -> tuple[dict, list[dict]]:
        for file, content in files.items():
            lines = content if isinstance(content, list) and file.endswith((".jsonl", "random.json")) else None
            text = "".join(json.dumps(row) + "\n" for row in lines) if lines else json.dumps(content)
            (tmp_path / "data" / file).write_text(text)
        where = [f"data.path={tmp_path / 'data' / next(iter(files))}"] if files else []
        where += [f"output={tmp_path / name}"]
        where += [f"data.image_root={pictures}"] * (name not in ("geneval", "wise"))
        run(["eval", str(seeing), "--suite", name, *where, *args])
        rows = [json.loads(line) for line in (tmp_path / name / "samples.jsonl").read_text().splitlines()]
        return json.loads((tmp_path / name / "metrics.json").read_text()), rows

    return evaluate


def test_pope_is_read_as_published_and_has_its_five_numbers(suite):
    asked = [
        {
            "question_id": at,
            "image": f"{at % 3}.jpg",
            "text": f"Is there a cat {at}?",
            "label": "yes" if at % 2 else "no",
        }
        for at in range(6)
    ]
    found, rows = suite("pope", {"coco_pope_random.json": asked}, *SHORT)
    assert [row["answer"] for row in rows] == [row["label"] for row in asked]
    assert rows[0]["prompt"] == "Is there a cat 0?\nAnswer yes or no."
    assert {"eval/accuracy", "eval/precision", "eval/recall", "eval/f1", "eval/yes"} <= set(found["metrics"])
    assert set(found["intervals"]) == set(found["metrics"])


def test_mme_scores_categories_and_pairs(suite):
    asked = [
        {"question_id": f"{at}", "image": f"{at // 2}.png", "question": f"q{at}?", "answer": "Yes" if at % 2 else "No",
         "category": "count" if at < 4 else "code_reasoning"}
        for at in range(6)
    ]  # fmt: skip
    found, _ = suite("mme", {"mme.jsonl": asked}, *SHORT)
    assert found["metrics"]["eval/mme"] == pytest.approx(
        found["metrics"]["eval/mme_perception"] + found["metrics"]["eval/mme_cognition"]
    )
    assert [row["category"] for row in found["categories"]["category"]] == ["code_reasoning", "count"]


def test_mme_is_read_from_the_folders_of_its_authors(suite, tmp_path, pictures):
    folders = ("count", "count"), ("landmark/questions_answers_YN", "landmark/images")
    for number, (asked, seen) in enumerate(folders):
        for folder in (asked, seen):
            (tmp_path / "data/MME" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / f"{number}.png", tmp_path / "data/MME" / seen / "a.png")
        (tmp_path / "data/MME" / asked / "a.txt").write_text("Is it one?\tYes\nIs it two?\tNo\n")
    found, rows = suite("mme", {}, *SHORT, f"data.path={tmp_path}/data/MME/**/*.txt")
    assert [(row["id"], row["answer"]) for row in rows] == [
        ("eval/count/a.txt:1/0", "yes"),
        ("eval/count/a.txt:2/0", "no"),
        ("eval/landmark/questions_answers_YN/a.txt:1/0", "yes"),
        ("eval/landmark/questions_answers_YN/a.txt:2/0", "no"),
    ]
    assert [row["category"] for row in found["categories"]["category"]] == ["count", "landmark"]


def test_vqav2_is_read_from_its_two_files(suite, tmp_path):
    questions = {
        "info": {},
        "questions": [{"question_id": 7 + at, "image_id": at, "question": f"q{at}"} for at in range(3)],
    }
    said = [{"answer": word} for word in ["red"] * 4 + ["dark red"] * 6]
    annotations = {
        "annotations": [
            {"question_id": 7 + at, "image_id": at, "answers": said, "answer_type": "other",
             "multiple_choice_answer": "dark red"}
            for at in range(3)
        ]
    }  # fmt: skip
    files = {"questions.json": questions, "annotations.json": annotations}
    found, rows = suite("vqav2", files, *SHORT, f"data.join.path={tmp_path}/data/annotations.json")
    assert [(row["id"], row["answer"]) for row in rows] == [(f"eval/{7 + at}/0", "dark red") for at in range(3)]
    assert "eval/vqa" in found["metrics"]


def test_gqa_is_read_from_its_object_of_questions(suite):
    questions = {
        f"2{at}": {
            "imageId": f"{at}",
            "question": "q",
            "answer": "left",
            "types": {"structural": ("query", "verify")[at % 2]},
        }
        for at in range(3)
    }
    found, rows = suite("gqa", {"testdev.json": questions}, *SHORT)
    assert [row["id"] for row in rows] == ["eval/20/0", "eval/21/0", "eval/22/0"]
    assert [row["structural"] for row in found["categories"]["structural"]] == ["query", "verify"]


def test_clevr_is_read_as_published(suite):
    questions = {"questions": [{"image_filename": "1.png", "question": "How many?", "answer": "3", "split": "val"}]}
    _, rows = suite("clevr", {"CLEVR_val.json": questions}, *SHORT, "rollout.steps=null")
    assert rows[0]["answer"] == "3"


def test_mmmu_leaves_out_what_cannot_be_asked(suite):
    row = {"question": "<image 1> Which?", "options": "['red', 'blue']", "answer": "B", "image_1": "0.png"}
    asked = [{"id": f"validation_Art_Theory_{at}", **row} for at in range(9)]
    asked.append({"id": "validation_Art_Theory_9", **row, "question_type": "open", "options": "[]", "answer": "2"})
    found, rows = suite("mmmu", {"mmmu.jsonl": asked}, *SHORT)
    assert rows[0]["prompt"] == "Which?\nA. red\nB. blue\nAnswer with the letter of the right choice."
    assert found["categories"]["subject"][0]["subject"] == "Art_Theory"
    assert found["metrics"]["eval/failed"] == 0
    assert len(rows) == 9


DRAW = [ONE, "rollout.image.steps=2", "rollout.image.guidance=0"]
PROMPTS = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {"tag": "counting", "include": [{"class": "cow", "count": 2}], "prompt": "a photo of two cows"},
]


def test_geneval_has_the_folders_that_its_scorer_reads(suite, tmp_path):
    found, rows = suite("geneval", {"metadata.jsonl": PROMPTS}, *DRAW, "samples=3")
    folder = tmp_path / "geneval/drawings"
    for number, prompt in enumerate(PROMPTS):
        assert json.loads((folder / f"{number:05d}/metadata.jsonl").read_text()) == prompt
        names = sorted(path.name for path in (folder / f"{number:05d}/samples").iterdir())
        assert names == ["0000.png", "0001.png", "0002.png"]
        assert np.asarray(Image.open(folder / f"{number:05d}/samples/0000.png")).shape == (32, 32, 3)
    assert "eval/accuracy" not in found["metrics"]
    assert len(rows) == 6


def test_geneval_is_scored_here_where_a_detector_is_named(suite, tmp_path):
    (tmp_path / "mine.py").write_text(DETECTOR)
    found, rows = suite(
        "geneval",
        {"metadata.jsonl": PROMPTS},
        *DRAW,
        "samples=4",
        f"rewards.detector.args.detector={tmp_path}/mine.py:see",
    )
    right = [row["parts"]["detector"] for row in rows]
    assert right == [0, 1, 0, 1, 0, 0, 0, 0]
    assert found["protocol"]["changed"].keys() >= {"rollout.image.steps", "rewards.detector.args.detector"}
    assert "rewards.detector.memory_gb" not in found["protocol"]["changed"]
    assert [(row["tag"], row["accuracy"]) for row in found["categories"]["tag"]] == [
        ("counting", 0),
        ("single_object", 0.5),
    ]


def test_drawings_do_not_depend_on_the_batch(suite, tmp_path):
    suite("geneval", {"metadata.jsonl": PROMPTS}, *DRAW, "samples=2")
    first = (tmp_path / "geneval/drawings/00001/samples/0001.png").read_bytes()
    suite("geneval", {"metadata.jsonl": PROMPTS}, *DRAW, "samples=2", "rollout.batch_size=2", "overwrite=true")
    assert (tmp_path / "geneval/drawings/00001/samples/0001.png").read_bytes() == first


def test_wise_drawings_are_called_by_their_number(suite, tmp_path):
    prompts = [
        {"Prompt": f"p{at}", "Explanation": "e", "Category": "Culture", "Subcategory": "s", "prompt_id": 400 + at}
        for at in range(2)
    ]
    suite("wise", {"cultural.json": prompts}, *DRAW)
    assert sorted(path.name for path in (tmp_path / "wise/drawings").iterdir()) == ["400.png", "401.png"]


def test_a_summary_needs_its_reward_and_one_answer(seeing, tmp_path, capsys):
    args = ["eval", str(seeing), "data.source=shapes", "data.task=understand", "data.template=plain", "summary=yes_no"]
    assert main([*args, "rewards.exact_match.weight=1", f"output={tmp_path / 'x'}"]) == 2
    assert "summary is yes_no, made of a reward: set rewards.yes_no.weight=1, or drop it." in capsys.readouterr().err


def test_fid_is_zero_to_the_drawings_themselves(suite, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef features(images):\n    return np.stack([image.mean((0, 1)) for image in images])\n"
    )
    suite("geneval", {"metadata.jsonl": PROMPTS}, *DRAW, "samples=2")
    drawn = (tmp_path / "geneval/drawings").rename(tmp_path / "drawn")
    fid = f"fid={{features: '{tmp_path / 'mine.py'}:features', path: {drawn}}}"
    found, _ = suite("geneval", {"metadata.jsonl": PROMPTS}, *DRAW, "samples=2", fid, "overwrite=true")
    assert found["metrics"]["eval/fid"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "rows", "args", "words"),
    [
        ("wise", [{"Prompt": "a cow"}], [], "rows:1: `prompt_id` is None, but WISE's drawings are called by their num"),
        (
            "wise",
            [{"Prompt": "a cow", "prompt_id": 3}, {"Prompt": "a bull", "prompt_id": 3}],
            [],
            "rows:2: `prompt_id` is 3, as that of rows:1, by which WISE calls drawings.",
        ),
        (
            "geneval",
            PROMPTS,
            ["limit=1", "samples=1", "fid={features: 'f.py:three', path: .}"],
            "there will be 1: draw",
        ),
        ("geneval", PROMPTS, ["fid={features: 'f.py:flat', path: .}"], "f.py:1 returned [3] for 3 images: return ["),
        ("mme", [{"text": "Is it?", "label": "yes", "image": "0.png"}], [], "summary=mme needs a picture and the col"),
    ],
)
def test_what_would_spoil_the_result_is_said_before_anything_is_answered(
    name, rows, args, words, seeing, pictures, monkeypatch, capsys
):
    monkeypatch.chdir(pictures)
    for picture in pictures.glob("*.jpg"):
        picture.unlink()
    (pictures / "f.py").write_text(
        "def flat(images):\n    return [0] * len(images)\ndef three(images):\n    return []\n"
    )
    (pictures / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = DRAW if name != "mme" else [*SHORT, "data.image_root=."]
    args = [*shown, *args, "categories=[]", "data.path=rows.jsonl", "output=out"]
    assert main(["eval", str(seeing), "--suite", name, *args]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Evaluation" not in said
    assert not (pictures / "out").exists()
