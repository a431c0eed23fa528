import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from unigrpo.config import DataSection
from unigrpo.data.digits import NAMES
from unigrpo.data.rows import read_rows
from unigrpo.errors import ConfigError, MissingExtraError


def rows(task, size, split="train", **fields):
    return read_rows(DataSection(source="digits", task=task, size=size, split=split, **fields), ("image",))


def number(row):
    return int(row.id.rpartition(":")[2])


def test_every_digit_is_in_one_split():
    train, test = ({number(row) for row in rows("image", size, s)} for s, size in (("train", 1624), ("test", 173)))
    assert not train & test
    assert train | test == set(range(1797))
    labels = load_digits().target
    assert {int(labels[n]) for n in test} == set(range(10))


def test_pictures_are_dark_ink_on_white_and_carry_their_label():
    collection = load_digits()
    for row in rows("understand", 60):
        ink, label = collection.images[number(row)], collection.target[number(row)]
        assert row.answer == str(label)
        assert row.image.shape == (32, 32, 3)
        assert row.image.dtype == np.uint8
        small = 255 - row.image[..., 0].reshape(8, 4, 8, 4).mean(axis=(1, 3))
        assert np.corrcoef(small.ravel(), ink.ravel())[0, 1] > 0.97


def test_prompts_name_the_digit_to_draw_and_ask_for_the_one_to_read():
    drawn, read = rows("image", 30), rows("understand", 30)
    for one, two in zip(drawn, read, strict=True):
        assert number(one) == number(two)
        assert one.prompt == f"a handwritten digit {NAMES[int(one.answer)]}"
        assert (two.prompt, two.response) == ("Which digit is this?", one.answer)
    thinking = rows("understand", 1, instruction="think")[0]
    assert thinking.response == f"<think>a handwritten {NAMES[int(thinking.answer)]}</think> {thinking.answer}"


def test_the_seed_decides_the_order():
    orders = [[number(row) for row in rows("image", 40, seed=seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_more_digits_than_there_are_is_an_error():
    with pytest.raises(ConfigError) as error:
        rows("image", 174, "test")
    assert str(error.value) == "data.size is 174, but digits has 173 test rows: set data.size=173."


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"^data\.source=digits needs scikit-learn.*'unigrpo\[digits\]'"):
        rows("image", 1)
