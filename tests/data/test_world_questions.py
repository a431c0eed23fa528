import re
import subprocess
import sys
from collections import Counter

import pytest

from rewards.format import format as format_reward
from rewards.geneval import cell
from rewards.segments import parse
from rewards.text import exact_match
from unigrpo.config import DataSection
from unigrpo.config.sources import KINDS
from unigrpo.data.rows import read_rows
from unigrpo.data.world_questions import ANSWERS
from unigrpo.errors import ConfigError

MOVES = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}


def rows(size=700, **fields):
    return read_rows(DataSection(source="shapes", task="understand", size=size, **fields), ("answer", "image"))


def seen(image):
    """Colour, shape and corner of each object, found in the pixels."""
    return [(item.color, item.name, cell(item, (32, 32))) for item in parse(image)]


def like(objects, words):
    colour, shape = words.split() if " " in words else ("", words)
    if shape in ("red", "green", "blue", "yellow"):
        colour, shape = shape, "shape"
    return [o for o in objects if colour in ("", o[0]) and shape.rstrip("s") in ("shape", o[1])]


def solve(question, objects):
    """The answer, from the words of the question and what is seen."""
    if match := re.fullmatch(r"How many (.*)s are there\?", question):
        return str(len(like(objects, match[1])))
    if match := re.fullmatch(r"What colour is the shape in the (.*)\?", question):
        return next(o[0] for o in objects if o[2] == match[1])
    if match := re.fullmatch(r"Which shape is in the (.*)\?", question):
        return next(o[1] for o in objects if o[2] == match[1])
    if match := re.fullmatch(r"What colour is the (.*)\?", question):
        (only,) = like(objects, match[1])
        return only[0]
    if match := re.fullmatch(r"Which shape is (.*)\?", question):
        (only,) = like(objects, match[1])
        return only[1]
    if match := re.fullmatch(r"Where is the (.*)\?", question):
        (only,) = like(objects, match[1])
        return only[2]
    if match := re.fullmatch(r"Is there a (.*)\?", question):
        return "yes" if like(objects, match[1]) else "no"
    if match := re.fullmatch(r"Are there more (.*)s than (.*)s\?", question):
        return "yes" if len(like(objects, match[1])) > len(like(objects, match[2])) else "no"
    match = re.fullmatch(r"What is (left of|right of|above|below) the (.*)\?", question)
    assert match
    (only,) = like(objects, match[2])
    down, right = MOVES[match[1]]
    at = {(o[2].startswith("bottom"), o[2].endswith("right")): o for o in objects}
    there = at[only[2].startswith("bottom") + down, only[2].endswith("right") + right]
    return f"{there[0]} {there[1]}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_answers_follow_from_the_pixels(split):
    for row in rows(split=split, seed=5):
        assert solve(row.prompt, seen(row.image)) == row.answer, row.prompt


@pytest.mark.parametrize("split", ["train", "test"])
def test_no_constant_answer_is_right_often(split):
    found = rows(1400, split=split)
    assert max(Counter(row.answer for row in found).values()) / len(found) < 0.16
    for kind, answers in ANSWERS.items():
        times = Counter(row.answer for row in found if row.metadata["tag"] == kind)
        assert set(times) == set(answers)
        assert max(times.values()) - min(times.values()) <= 1


def test_the_words_of_a_question_say_little_about_its_answer():
    train, test = rows(7000), rows(700, split="test")
    likeliest = {
        prompt: Counter(row.answer for row in train if row.prompt == prompt).most_common(1)[0][0]
        for prompt in {row.prompt for row in train}
    }
    assert sum(likeliest.get(row.prompt) == row.answer for row in test) / len(test) < 0.4


def test_training_never_asks_about_a_held_out_scene_whatever_the_seeds():
    train, test = ({row.image.tobytes() for row in rows(2000, split=s, seed=n)} for s, n in (("train", 0), ("test", 1)))
    assert not train & test
    assert len(train) > 1000


def test_kinds_take_turns_and_no_row_comes_twice():
    found = rows(1400)
    assert [row.metadata["tag"] for row in found] == list(KINDS["understand"]) * 200
    assert len({(row.prompt, row.image.tobytes()) for row in found}) == len(found)


def test_responses_answer_and_think_first_when_told_to():
    plain, thoughtful = rows(140), rows(140, instruction="think")
    for short, long in zip(plain, thoughtful, strict=True):
        assert short.response == short.answer == long.answer
        assert long.response.endswith(f"</think> {long.answer}")
        assert format_reward(long.response) == exact_match(long.response, long.answer) == 1
        assert len(long.response.split()) <= 12


def test_another_process_makes_the_same_rows():
    code = (
        "from unigrpo.config import DataSection\nfrom unigrpo.data.rows import read_rows\nimport sys, zlib\n"
        "for row in read_rows(DataSection(source='shapes', task='understand', size=30)):\n"
        "    print(row.prompt, row.answer, zlib.crc32(row.image.tobytes()))\n"
        "assert 'torch' not in sys.modules\n"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert [line.rsplit(" ", 1)[0] for line in first.splitlines()] == [f"{r.prompt} {r.answer}" for r in rows(30)]


def test_more_questions_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr("unigrpo.data.world_rows.PATIENCE", 20)
    with pytest.raises(
        ConfigError, match=r"^data\.size is 9000, but shapes finds no more than \d+ test questions of the"
    ):
        rows(9000, split="test", kinds=["corner"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kinds": ["cuont"]}, "data.kinds holds 'cuont', which data.task=understand has not. Did you mean: 'count'?"),
        (
            {"kinds": ["single"]},
            "data.kinds holds 'single', which data.task=understand has not. It has count, colour, shape, corner, "
            "position, exist, compare.",
        ),
        ({"kinds": ["count", "count"]}, "data.kinds names one twice: count, count."),
    ],
)
def test_unknown_kinds_are_an_error(fields, problem):
    with pytest.raises(ConfigError) as error:
        rows(**fields)
    assert str(error.value) == problem


def test_a_task_that_shapes_has_no_rows_for_is_an_error():
    with pytest.raises(ConfigError) as error:
        read_rows(DataSection(source="shapes"))
    assert str(error.value) == (
        "data.task is text, but data.source=shapes is for understand and image and think_image: change one of them."
    )
