"""Pages of pictures, judged by their pixels, and what a run keeps of its drawings."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.images import picture
from tests.tiny import drawing
from unigrpo import gallery
from unigrpo.pictures import grid

COLOURS = np.array([[255, 0, 0], [0, 160, 0], [0, 0, 255]], dtype=np.uint8)


def plain(colour, side=8):
    return np.broadcast_to(COLOURS[colour], (side, side, 3)).copy()


def centres(path, colour):
    """The centre and the extent of all pixels of one colour: y, x, height, width."""
    page = np.asarray(Image.open(path).convert("RGB"))
    ys, xs = np.nonzero((page == COLOURS[colour]).all(-1))
    return ys.mean(), xs.mean(), np.ptp(ys) + 1, np.ptp(xs) + 1


def test_a_grid_has_its_pictures_in_their_places_equally_large_and_unsmoothed(tmp_path):
    out = tmp_path / "new" / "page.png"
    grid([[plain(0), plain(1)], [plain(2)]], out, row_titles=["a", "b"], captions=[["x", "y"], ["z"]])
    (red, green, blue) = (centres(out, colour) for colour in range(3))
    assert red[0] == pytest.approx(green[0], abs=1)
    assert red[1] < green[1]
    assert red[0] < blue[0]
    assert red[1] == pytest.approx(blue[1], abs=1)
    for _, _, height, width in (red, green, blue):
        assert height == pytest.approx(width, abs=1)
        assert height == pytest.approx(red[2], abs=1)
        assert height > 100


def test_long_captions_make_a_page_taller_and_cover_no_picture(tmp_path):
    for name, caption in (("short", "x"), ("long", "a word and another " * 12)):
        grid([[plain(0)], [plain(2)]], tmp_path / f"{name}.png", captions=[[caption], [caption]])
    short, long = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("short", "long"))
    assert long.shape[0] > short.shape[0]
    for colour in (0, 2):
        _, _, height, width = centres(tmp_path / "long.png", colour)
        found = np.asarray(Image.open(tmp_path / "long.png").convert("RGB"))
        assert (found == COLOURS[colour]).all(-1).sum() == height * width


def scored(stream, number, reward, image):
    item = drawing("image", name=f"{stream}{number}", reward=reward)
    prompt = item.rollout.prompt
    object.__setattr__(prompt, "stream", stream)
    object.__setattr__(prompt, "text", f"{stream} {number}")
    object.__setattr__(item.rollout, "image", image)
    return item


def test_a_run_keeps_the_first_drawings_of_each_task_as_they_are(tmp_path):
    items = [scored(stream, n, n / 4, picture(n)) for n in range(4) for stream in ("draw", "think")]
    gallery.keep(tmp_path, 7, items, most=2)
    folder = tmp_path / "pictures/step-000007"
    rows = json.loads((folder / "index.json").read_text())
    assert [(row["task"], row["prompt"], row["reward"]) for row in rows] == [
        ("draw", "draw 0", 0.0),
        ("think", "think 0", 0.0),
        ("draw", "draw 1", 0.25),
        ("think", "think 1", 0.25),
    ]
    assert len(list(folder.glob("*.png"))) == 4
    for row in rows:
        np.testing.assert_array_equal(np.asarray(Image.open(folder / row["file"])), picture(int(row["prompt"][-1])))


def test_nothing_is_kept_of_texts_and_one_evaluation_is_no_before_and_after(tmp_path):
    gallery.keep(tmp_path, 0, [scored("ask", 0, 1.0, None)])
    assert not (tmp_path / "pictures").exists()
    gallery.keep(tmp_path, 0, [scored("draw", 0, 1.0, plain(0))])
    assert not gallery.before_after(tmp_path, tmp_path / "page.png")
    assert not (tmp_path / "page.png").exists()


def test_the_first_evaluation_stands_over_the_last(tmp_path):
    for step, colour in ((0, 0), (10, 1), (20, 2)):
        gallery.keep(tmp_path, step, [scored("draw", n, (0.5, math.nan)[n], plain(colour)) for n in range(2)])
    rows = json.loads((tmp_path / "pictures/step-000010/index.json").read_text(), parse_constant=pytest.fail)
    assert [row["reward"] for row in rows] == [0.5, None]
    assert gallery.before_after(tmp_path, tmp_path / "page.png")
    page = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert not (page == COLOURS[1]).all(-1).any()
    assert centres(tmp_path / "page.png", 0)[0] < centres(tmp_path / "page.png", 2)[0]
