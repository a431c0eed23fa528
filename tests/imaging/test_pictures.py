import json

import numpy as np
import pytest
from PIL import Image

from tests.images import picture
from unigrpo.config import PicturesSection
from unigrpo.data.images import fit_image
from unigrpo.errors import DataError
from unigrpo.imaging.pictures import load_pictures, rows_of_step


@pytest.fixture
def folder(tmp_path):
    """Five pictures of different shapes in a tree, a text beside them, and rows that name them."""
    for number in range(5):
        place = tmp_path / "pictures" / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, 8 + number, 20 - number)).save(place / f"{number}.PNG")
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    rows = [{"seen": f"{number % 2}/{number}.PNG"} for number in range(5)]
    (tmp_path / "pictures/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "pictures"


def fitted(number: int, fit: str = "crop") -> np.ndarray:
    return fit_image(picture(number, 8 + number, 20 - number), 8, fit)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_folder_gives_all_its_pictures_in_the_order_of_their_paths(folder, fit):
    found = load_pictures(PicturesSection(path=str(folder), fit=fit), 8)
    np.testing.assert_array_equal(found, [fitted(number, fit) for number in (0, 2, 4, 1, 3)])


def test_a_file_gives_the_pictures_of_its_column(folder):
    section = PicturesSection(source="file", path=str(folder / "rows.jsonl"), column="seen", limit=3)
    np.testing.assert_array_equal(load_pictures(section, 8), [fitted(number) for number in range(3)])


def test_paths_of_a_file_start_from_the_root(folder, tmp_path):
    (folder / "rows.jsonl").rename(tmp_path / "moved.jsonl")
    section = PicturesSection(source="file", path=str(tmp_path / "moved.jsonl"), column="seen", image_root=str(folder))
    np.testing.assert_array_equal(load_pictures(section, 8), [fitted(number) for number in range(5)])


@pytest.mark.parametrize("of", ["bytes", "path"])
def test_pictures_that_datasets_saved_are_read(folder, tmp_path, of):
    from datasets import Dataset, Features
    from datasets import Image as Feature

    paths = [folder / f"{number % 2}/{number}.PNG" for number in range(5)]
    values = [{"bytes": path.read_bytes() if of == "bytes" else None, "path": str(path)} for path in paths]
    data = Dataset.from_dict({"image": values}, features=Features({"image": Feature()}))
    data.save_to_disk(tmp_path / "saved")
    found = load_pictures(PicturesSection(source="file", path=str(tmp_path / "saved")), 8)
    np.testing.assert_array_equal(found, [fitted(number) for number in range(5)])


@pytest.mark.parametrize("size", [1, 8, 9])
def test_generated_pictures_are_as_many_as_asked_and_differ_by_split_and_seed(size):
    made = [
        load_pictures(PicturesSection(source="shapes", size=size, split=split, seed=seed), 32)
        for split, seed in (("train", 0), ("train", 0), ("test", 0), ("train", 1))
    ]
    assert all(pictures.shape == (size, 32, 32, 3) for pictures in made)
    np.testing.assert_array_equal(made[0], made[1])
    if size > 1:
        assert (made[0] != made[2]).any()
        assert (made[0] != made[3]).any()


def test_digits_are_all_different_and_none_is_in_both_splits():
    pytest.importorskip("sklearn")
    sections = [PicturesSection(source="digits", size=100, split=split) for split in ("train", "test")]
    pictures = [picture.tobytes() for section in sections for picture in load_pictures(section, 32)]
    assert len(set(pictures)) == 200


@pytest.mark.parametrize(
    ("damage", "section", "message"),
    [
        (None, {"path": "{dir}/none"}, "none is no folder"),
        (None, {"path": "{dir}/empty"}, "empty has no pictures"),
        ("0/2.PNG", {"path": "{dir}"}, r"2\.PNG' cannot be read: it is none of PNG"),
        ("1/3.PNG", {"path": "{dir}/rows.jsonl", "source": "file", "column": "seen"}, r"rows\.jsonl line 4: .*3\.PNG"),
        (
            None,
            {"path": "{dir}/rows.jsonl", "source": "file"},
            "no column `image`. Its columns: seen",
        ),
        (None, {"path": "{dir}/odd.jsonl", "source": "file"}, r"line 1: `image` is 7, but must be a picture"),
        (None, {"path": "{dir}/rows.jsonl", "source": "file", "column": "seen", "image_root": "/no"}, "does not exist"),
    ],
)
def test_what_cannot_be_used_is_named(folder, damage, section, message):
    (folder / "empty").mkdir()
    (folder / "odd.jsonl").write_text('{"image": 7}\n')
    if damage:
        (folder / damage).write_bytes(b"broken")
    section = {name: value.replace("{dir}", str(folder)) for name, value in section.items()}
    with pytest.raises(DataError, match=message):
        load_pictures(PicturesSection(**section), 8)


def test_an_epoch_shows_each_picture_at_most_once_and_the_next_has_another_order():
    epochs = [np.concatenate([rows_of_step(11, 3, 0, 3 * epoch + step) for step in range(3)]) for epoch in range(2)]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert (epochs[0] != epochs[1]).any()
    np.testing.assert_array_equal(rows_of_step(11, 3, 0, 4), epochs[1][3:6])
    assert (rows_of_step(11, 3, 1, 0) != epochs[0][:3]).any()
