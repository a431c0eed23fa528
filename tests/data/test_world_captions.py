import random
import re
from collections import Counter

import numpy as np
import pytest

from unigrpo.config import DataSection
from unigrpo.config.sources import KINDS
from unigrpo.data.rows import read_rows
from unigrpo.data.world import CELLS, COLOURS, SHAPES, render
from unigrpo.data.world_captions import Caption, Group, captions
from unigrpo.data.world_riddles import COLOUR_HINTS, NUMBER_HINTS, SHAPE_HINTS
from unigrpo.data.world_rows import captions_of

COUNTS = {"single": 12, "colour": 16, "count": 45, "two": 36, "attribute": 132, "corner": 48, "position": 528}
NUMBERS = {"a": 1, "two": 2, "three": 3, "four": 4}
GROUP = re.compile(rf"({'|'.join(NUMBERS)}) (?:({'|'.join(COLOURS)}) )?({'|'.join(SHAPES)}|shape)s?")
OFFSETS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
EVERY = [caption for kind in COUNTS for caption in captions(kind)]


def shows(scene, text):
    """Whether a scene is what a caption says, by its words alone."""
    groups = [(NUMBERS[number], colour, shape) for number, colour, shape in GROUP.findall(text)]
    left = scene.things
    for number, colour, shape in sorted(groups, key=lambda group: not group[1]):
        fits = [t for t in left if colour in ("", t.colour) and shape in ("shape", t.shape)][:number]
        if len(fits) < number:
            return False
        for thing in fits:
            left.remove(thing)
    if left:
        return False
    where = {f"{thing.colour} {thing.shape}": divmod(CELLS.index(cell), 2) for cell, thing in scene.placed}
    place = re.search(r"in the (.*)", text)
    if place:
        return scene.placed[0][0] == place[1]
    for name, (down, right) in OFFSETS.items():
        if f" {name} " in text:
            first, second = (where[f"{colour} {shape}"] for _, colour, shape in groups)
            return (first[0] - second[0], first[1] - second[1]) == (down, right)
    return True


@pytest.mark.parametrize("kind", COUNTS)
def test_the_captions_of_a_kind_are_as_many_as_they_should_be_and_short(kind):
    texts = [str(caption) for caption in captions(kind)]
    assert len(set(texts)) == len(texts) == COUNTS[kind]
    assert max(len(text.split()) for text in texts) <= 8


def test_every_caption_has_scenes_and_they_show_it():
    draw = random.Random(0)
    for caption in EVERY:
        assert all(shows(caption.scene(draw), str(caption)) for _ in range(5)), str(caption)


def test_what_a_caption_leaves_open_varies():
    draw = random.Random(0)
    caption = next(caption for caption in EVERY if str(caption) == "two circles")
    scenes = {caption.scene(draw) for _ in range(500)}
    assert {thing.colour for scene in scenes for thing in scene.things} == set(COLOURS)
    assert len({tuple(cell for cell, _ in scene.placed) for scene in scenes}) == 6


def test_captions_have_one_meaning_exactly_when_they_show_the_same():
    draw = random.Random(0)
    sample = draw.sample([caption for caption in EVERY if len(caption.groups) == 2], 120)
    sample += [caption for caption in EVERY if "red circle" in str(caption) and "blue square" in str(caption)]
    scenes = [[caption.scene(draw) for _ in range(8)] for caption in sample]
    for one, ones in zip(sample, scenes, strict=True):
        for two, twos in zip(sample, scenes, strict=True):
            same = all(shows(scene, str(two)) for scene in ones) and all(shows(scene, str(one)) for scene in twos)
            assert same == (one.meaning == two.meaning), (str(one), str(two))


@pytest.mark.parametrize("kind", COUNTS)
def test_a_tenth_of_the_meanings_of_each_kind_is_held_out(kind):
    train, test = ({caption.meaning for caption in captions_of(kind, split)} for split in ("train", "test"))
    assert not train & test
    assert len(captions_of(kind, "train")) + len(captions_of(kind, "test")) == COUNTS[kind]
    assert len(test) == -(-len(train | test) // 10)


@pytest.mark.parametrize("task", ["image", "think_image"])
def test_training_never_asks_for_a_held_out_caption_whatever_the_seeds(task):
    def asked(split, seed):
        rows = read_rows(DataSection(source="shapes", task=task, split=split, size=900, seed=seed))
        return {row.answer or row.prompt for row in rows}, {row.prompt for row in rows}

    for of_train, of_test in zip(asked("train", 0), asked("test", 1), strict=True):
        assert not of_train & of_test


@pytest.mark.parametrize("task", ["image", "think_image"])
def test_kinds_take_turns_and_captions_are_equally_frequent(task):
    rows = read_rows(DataSection(source="shapes", task=task, size=1400))
    kinds = Counter(row.metadata["tag"] for row in rows)
    assert list(kinds) == list(KINDS[task])
    assert max(kinds.values()) - min(kinds.values()) <= 1
    for kind in kinds:
        times = Counter(row.answer or row.prompt for row in rows if row.metadata["tag"] == kind)
        assert max(times.values()) - min(times.values()) <= 1


def test_the_kinds_that_are_named_are_made():
    rows = read_rows(DataSection(source="shapes", task="image", size=60, kinds=["position", "single"]))
    assert [row.metadata["tag"] for row in rows] == ["position", "single"] * 30


def test_a_row_holds_a_picture_and_what_must_be_seen():
    row = next(
        row
        for row in read_rows(DataSection(source="shapes", task="image", size=2000, kinds=["position"]))
        if row.prompt == "a red circle above a blue square"
    )
    assert row.metadata == {
        "include": [
            {"class": "square", "count": 1, "color": "blue"},
            {"class": "circle", "count": 1, "color": "red", "position": ["above", 0]},
        ],
        "exclude": [{"class": "object", "count": 3}],
        "tag": "position",
    }
    caption = next(caption for caption in captions("position") if str(caption) == row.prompt)
    draw = random.Random(0)
    assert any(np.array_equal(row.image, render(caption.scene(draw))) for _ in range(50))


def test_rows_depend_on_the_seed_alone():
    sections = [DataSection(source="shapes", task="image", size=50, seed=seed) for seed in (3, 3, 4)]
    first, again, other = (
        [(row.id, row.prompt, row.image.tobytes(), row.metadata) for row in read_rows(section)] for section in sections
    )
    assert first == again != other


def test_a_riddle_never_says_what_it_hides_and_its_thought_is_the_caption():
    rows = read_rows(DataSection(source="shapes", task="think_image", size=1500))
    hidden = {*SHAPES, *(f"{shape}s" for shape in SHAPES), *COLOURS, "two", "three"}
    for row in rows:
        riddle = row.prompt.replace("with three sides", "").replace("with four equal sides", "")
        assert not hidden & set(riddle.split())
        assert row.response == f"<think>{row.answer}</think>"
        assert solved(row.prompt) == row.answer


def test_a_riddle_is_also_drawn_without_a_thought():
    thinks = read_rows(DataSection(source="shapes", task="think_image", size=200))
    draws = read_rows(DataSection(source="shapes", task="image", riddle=True, size=200))
    assert [row.metadata["tag"] for row in draws] == [row.metadata["tag"] for row in thinks]
    for row in draws:
        assert Caption(tuple(groups_of(row.metadata["include"]))).include == row.metadata["include"]
        assert solved(row.prompt) == " and ".join(map(str, groups_of(row.metadata["include"])))


def groups_of(include):
    """The groups of a caption, from what must be seen."""
    return [Group(thing["count"], thing["class"].replace("shape", ""), thing.get("color", "")) for thing in include]


def solved(riddle):
    """The caption of a riddle, by looking each hint up."""
    answers = []
    for part in riddle.split(" and "):
        shape = next((name for name, hints in SHAPE_HINTS.items() if any(hint in part for hint in hints)), "shape")
        of_colour = part.partition("in the colour of ")[2]
        colour = next((name for name, hints in COLOUR_HINTS.items() if of_colour.startswith(hints)), "")
        number = next((n for n, hints in NUMBER_HINTS.items() if part.endswith(hints)), 1)
        words = [{1: "a", 2: "two", 3: "three", 4: "four"}[number], colour, shape + "s" * (number > 1)]
        answers.append(" ".join(filter(None, words)))
    return " and ".join(answers)
