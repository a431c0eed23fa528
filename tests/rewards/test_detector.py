import json
import random
from dataclasses import replace

import numpy as np
import pytest

from rewards import Scorer
from rewards.geneval import relations
from unigrpo.config import DataSection, RewardEntry
from unigrpo.data.rows import read_rows
from unigrpo.errors import ConfigError, RewardError

BLANK = np.zeros((100, 100, 3), dtype=np.uint8)
SOURCE = """
import json, pathlib
def see(images):
    return json.loads(pathlib.Path(__file__).with_name("seen.json").read_text())
"""
ROWS = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {
        "tag": "counting",
        "include": [{"class": "clock", "count": 2}],
        "exclude": [{"class": "clock", "count": 3}],
        "prompt": "a photo of two clocks",
    },
    {
        "tag": "position",
        "include": [{"class": "bear", "count": 1}, {"class": "dog", "count": 1, "position": ["right of", 0]}],
        "prompt": "a photo of a dog right of a bear",
    },
    {
        "tag": "color_attr",
        "include": [{"class": "cup", "count": 1, "color": "purple"}, {"class": "apple", "count": 1, "color": "black"}],
        "prompt": "a photo of a purple cup and a black apple",
    },
]
SINGLE, COUNTING, POSITION, ATTRIBUTE = ROWS


def thing(name, x=50.0, y=50.0, score=0.95, **more):
    return {"class": name, "score": score, "box": [x - 10, y - 10, x + 10, y + 10], **more}


@pytest.fixture
def judge(user_file, rollout):
    """Score a row with a detector that sees these objects."""
    path = user_file(SOURCE, "see.py")

    def judge(row, seen, **args):
        metadata = {key: value for key, value in row.items() if key != "prompt"}
        drawn = replace(rollout("", task="image", answer=None, metadata=metadata), image=BLANK)
        with open(path.replace("see.py", "seen.json"), "w") as file:
            json.dump([seen], file)
        return Scorer({"detector": RewardEntry(args={"detector": f"{path}:see", **args})}).score([drawn])[0].reward

    return judge


@pytest.mark.parametrize(
    ("row", "seen", "value"),
    [
        (SINGLE, [thing("bench")], 1),
        (SINGLE, [thing("bench"), thing("cow")], 1),
        (SINGLE, [thing("cow")], 0),
        (SINGLE, [], 0),
        (SINGLE, [thing("bench", score=0.2)], 0),
        (SINGLE, [thing("bench", score=0.31)], 1),
        (COUNTING, [thing("clock"), thing("clock")], 1),
        (COUNTING, [thing("clock")] * 3, 0),
        (COUNTING, [thing("clock"), thing("clock", score=0.8)], 0),
        (COUNTING, [thing("clock"), thing("clock"), thing("clock", score=0.8)], 1),
        (POSITION, [thing("bear", 20), thing("dog", 80)], 1),
        (POSITION, [thing("bear", 80), thing("dog", 20)], 0),
        (POSITION, [thing("bear", 20, 20), thing("dog", 80, 80)], 1),
        (POSITION, [thing("dog", 80)], 0),
        (POSITION, [thing("bear", 20), thing("dog", 10, score=0.9), thing("dog", 80, score=0.8)], 0),
        (ATTRIBUTE, [thing("cup", color="purple"), thing("apple", color="black")], 1),
        (ATTRIBUTE, [thing("cup", color="black"), thing("apple", color="purple")], 0),
        (ATTRIBUTE, [thing("cup", color="purple"), thing("cup", color="red"), thing("apple", color="black")], 1),
    ],
)
def test_rows_are_judged_as_geneval_judges_them(judge, row, seen, value):
    assert judge(row, seen) == value


def holds(row, seen):
    """The rule of GenEval, step by step: the surest objects of each class, entry after entry."""
    least = 0.9 if row["tag"] == "counting" else 0.3
    by_class = {}
    for item in sorted((i for i in seen if i["score"] > least), key=lambda i: -i["score"]):
        by_class.setdefault(item["class"], []).append(item)
    matched = []
    for entry in row["include"]:
        objects = by_class.get(entry["class"], [])[: entry["count"]]
        good = len(objects) == entry["count"]
        if "color" in entry:
            good = good and all(item["color"] == entry["color"] for item in objects)
        if good and "position" in entry:
            name, other = entry["position"]
            good = matched[other] is not None and all(
                name in relations(tuple(item["box"]), tuple(target["box"]))
                for item in objects
                for target in matched[other]
            )
        matched.append(objects if good else None)
    too_many = any(len(by_class.get(entry["class"], [])) >= entry["count"] for entry in row.get("exclude", []))
    return None not in matched and not too_many


def test_random_sights_are_judged_as_by_the_rule_step_by_step(judge):
    draw = random.Random(0)
    verdicts = []
    for _ in range(300):
        row = draw.choice(ROWS)
        names = [entry["class"] for entry in row["include"]]
        colors = [entry.get("color", "red") for entry in row["include"]]
        seen = [
            thing(
                draw.choice(names),
                draw.choice((20, 50, 80)),
                draw.choice((20, 50, 80)),
                draw.choice((0.25, 0.6, 0.91, 0.97)) + draw.random() / 100,
                color=draw.choice(colors),
            )
            for _ in range(draw.randint(0, 4))
        ]
        verdicts.append(judge(row, seen))
        assert verdicts[-1] == holds(row, seen)
        assert (judge(row, seen, partial=True) == 1) == holds(row, seen)
    assert 30 < sum(verdicts) < 270


def test_partial_gives_the_share_that_is_seen(judge):
    assert judge(POSITION, [thing("bear", 80), thing("dog", 20)], partial=True) == pytest.approx(2 / 3)
    assert judge(COUNTING, [thing("clock")], partial=True) == pytest.approx(1 / 2)
    assert judge(COUNTING, [thing("clock")] * 4, partial=True) == pytest.approx(2 / 4)
    assert judge(SINGLE, [], partial=True) == 0


def test_rows_of_geneval_load_as_prompts_for_drawings(tmp_path):
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    rows = read_rows(DataSection(task="image", path=str(path)))
    assert [row.prompt for row in rows] == [row["prompt"] for row in ROWS]
    assert [row.metadata for row in rows] == [{k: v for k, v in row.items() if k != "prompt"} for row in ROWS]


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        ([{"class": "bench", "score": 1}], r"found \{'class': 'bench', 'score': 1\}: an object is a dict with"),
        (["bench"], "found 'bench': an object is a dict with `class`, `score` and `box` of four numbers"),
        (
            [{"class": "bench", "score": 1, "box": [1, 2, 3]}],
            "an object is a dict with `class`, `score` and `box` of four numbers",
        ),
    ],
)
def test_a_detector_that_returns_something_else_is_an_error(judge, seen, problem):
    with pytest.raises(RewardError, match=rf"^the detector at .*see\.py:3 .*{problem}"):
        judge(SINGLE, seen)


def test_a_detector_that_names_no_colours_cannot_judge_them(judge):
    with pytest.raises(RewardError, match="found a cup without `color`, but the prompt asks for its colour: name it"):
        judge(ATTRIBUTE, [thing("cup"), thing("apple")])
    assert judge(SINGLE, [thing("bench")]) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return []", r"returned \[\] for 1 images: return one list for each\.$"),
        ("return 1 / 0", r"raised ZeroDivisionError: division by zero \(.*see\.py:2\)\.$"),
    ],
)
def test_a_detector_that_fails_is_an_error(user_file, rollout, body, problem):
    path = user_file(f"def see(images):\n    {body}\n", "see.py")
    scorer = Scorer({"detector": RewardEntry(args={"detector": f"{path}:see"})})
    drawn = replace(rollout("", task="image", metadata={"include": SINGLE["include"]}), image=BLANK)
    with pytest.raises(RewardError, match=problem):
        scorer.score([drawn])


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"detector": "nowhere.py:see"}, "rewards.detector: detector: there is no file nowhere.py."),
        (
            {"detector": "see"},
            "rewards.detector: detector is 'see': write `file.py:function` or `package.module:function`.",
        ),
        ({"detector": "json:loads", "threshold": 30}, "rewards.detector: threshold is 30: set it to between 0 and 1."),
        ({}, "rewards.detector.args.detector is not set: `detector` cannot do without it."),
    ],
)
def test_a_wrong_setting_is_found_before_training(args, problem):
    with pytest.raises((ConfigError, RewardError)) as error:
        Scorer({"detector": RewardEntry(args=args)})
    assert str(error.value).startswith(problem)
