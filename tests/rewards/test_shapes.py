import io
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from rewards import Scorer
from rewards.geneval import cell
from rewards.segments import parse
from rewards.shapes import shapes
from unigrpo.config import DataSection, RewardEntry
from unigrpo.config.sources import KINDS
from unigrpo.data.rows import read_rows
from unigrpo.data.world import COLOURS, THINGS, Scene, Thing, render
from unigrpo.data.world_captions import captions

SCENES = st.lists(st.sampled_from([None, *THINGS]), min_size=4, max_size=4).map(lambda cells: Scene(tuple(cells)))
EVERY = {str(caption): caption for kind in KINDS["image"] for caption in captions(kind)}
RED, GREEN, BLUE, YELLOW = COLOURS.values()


def scene(*names):
    """A scene from names such as `red circle`, cell by cell; empty for none."""
    things = [Thing(*reversed(name.split())) if name else None for name in names]
    return render(Scene(tuple(things + [None] * (4 - len(things)))))


def score(image, text, **settings):
    return shapes(image, EVERY[text].include, EVERY[text].exclude, **settings)


def placed(image):
    size = image.shape[1], image.shape[0]
    return sorted((item.color, item.name, cell(item, size)) for item in parse(image))


def truth(scene):
    return sorted((thing.colour, thing.shape, cell) for cell, thing in scene.placed)


def blurred(image, radius):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noisy(image, sigma):
    noise = np.random.default_rng(int(image.sum())).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def compressed(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def coarse(image, step):
    return (image // step * step + step // 2).astype(np.uint8)


def tinted(image):
    return np.clip(image * [0.93, 0.97, 0.9] + [4, 0, 8], 0, 255).astype(np.uint8)


def halved(image):
    small = Image.fromarray(image).resize((image.shape[1] // 2, image.shape[0] // 2), Image.Resampling.BOX)
    return np.asarray(small.resize((image.shape[1], image.shape[0]), Image.Resampling.BICUBIC))


@settings(deadline=None, max_examples=60)
@given(SCENES, st.sampled_from([24, 32, 50, 64, 256]))
def test_what_was_drawn_is_found(scene, size):
    assert placed(render(scene, size)) == truth(scene)


@settings(deadline=None, max_examples=60)
@given(
    SCENES,
    st.sampled_from(
        [
            lambda image: blurred(image, 0.5),
            lambda image: blurred(image, 1.2),
            lambda image: noisy(image, 20),
            lambda image: noisy(blurred(image, 0.8), 12),
            lambda image: compressed(image, 60),
            lambda image: coarse(image, 64),
            tinted,
            halved,
        ]
    ),
)
def test_what_an_image_tokenizer_spoils_is_still_found(scene, spoil):
    assert placed(spoil(render(scene))) == truth(scene)


@pytest.mark.parametrize("task", ["image", "think_image"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_pictures_of_the_data_earn_one(task, split):
    for row in read_rows(DataSection(source="shapes", task=task, split=split, size=700)):
        assert shapes(row.image, row.metadata["include"], row.metadata["exclude"]) == 1, row.prompt


def test_boxes_are_in_pixels_of_the_picture():
    for size in (32, 64, 256):
        (found,) = parse(render(Scene((None, Thing("square", "red"), None, None)), size))
        assert found.box == pytest.approx(
            (size * 18 / 32, size * 2 / 32, size * 30 / 32, size * 14 / 32), abs=size / 32
        )


def picture(color):
    return np.full((32, 32, 3), color, dtype=np.uint8)


def painted(*rectangles):
    """A light picture with rectangles of (top, bottom, left, right, colour)."""
    image = picture(245)
    for top, bottom, left, right, color in rectangles:
        image[top:bottom, left:right] = color
    return image


NOTHING = {
    "blank": picture(245),
    "white": picture(255),
    "black": picture(0),
    "grey": picture(128),
    "all red": picture(RED),
    "noise": np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8),
    "light noise": np.random.default_rng(0).integers(190, 256, (32, 32, 3)).astype(np.uint8),
    "stripes": painted(*((7 * n + 3, 7 * n + 9, 2, 30, color) for n, color in enumerate(COLOURS.values()))),
    "all colours in every cell": painted(
        *(
            (row + 3 * n, row + 3 * n + 3, column, column + 12, color)
            for n, color in enumerate(COLOURS.values())
            for row in (2, 18)
            for column in (2, 18)
        )
    ),
    "dots": painted(
        *(
            (y, y + 2, x, x + 2, list(COLOURS.values())[(x + y) // 3 % 4])
            for x in range(1, 30, 3)
            for y in range(1, 30, 3)
        )
    ),
    "dark shapes": painted((2, 14, 2, 14, (40, 40, 40)), (18, 30, 18, 30, (90, 90, 90))),
    "a frame": painted((2, 30, 2, 30, BLUE), (6, 26, 6, 26, 245)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_picture_of_nothing_earns_nothing(name):
    assert max(score(NOTHING[name], text) for text in list(EVERY)[::7]) == 0


def test_no_single_picture_earns_much_of_all_captions():
    draw = random.Random(0)
    asked = [str(draw.choice(captions(kind))) for kind in KINDS["image"] for _ in range(12)]
    for _ in range(20):
        image = render(Scene(tuple(draw.choice([None, *THINGS]) for _ in range(4))))
        earned = [score(image, text) for text in asked]
        assert np.mean(earned) < 0.5
        assert np.mean([value == 1 for value in earned]) < 0.1


@pytest.mark.parametrize(
    ("text", "names", "value"),
    [
        ("a red circle", ["red circle"], 1),
        ("a red circle", ["", "", "", "red circle"], 1),
        ("a red circle", ["blue circle"], 1 / 2),
        ("a red circle", ["red square"], 1 / 2),
        ("a red circle", ["blue square"], 0),
        ("a red circle", ["red circle", "blue square"], 1 / 2),
        ("a red circle", ["red circle", "blue square", "green circle", "red triangle"], 1 / 4),
        ("a red circle", ["red circle", "red circle"], 1 / 2),
        ("three triangles", ["red triangle", "blue triangle", "green triangle"], 1),
        ("three triangles", ["red triangle", "blue triangle"], 2 / 3),
        ("three triangles", ["red triangle"] * 4, 3 / 4),
        ("three green triangles", ["green triangle", "green triangle", "red triangle"], 5 / 6),
        ("two blue shapes", ["blue circle", "blue square"], 1),
        ("two blue shapes", ["blue circle", "red square"], 3 / 4),
        ("a circle and two squares", ["red square", "red circle", "blue square"], 1),
        ("a circle and two squares", ["red square", "red circle", "blue circle"], 2 / 3),
        ("a red circle and a blue square", ["blue square", "", "", "red circle"], 1),
        ("a red circle and a blue square", ["red square", "blue circle"], 1 / 2),
        ("a red circle and a blue circle", ["blue circle", "red circle"], 1),
        ("a red circle and a blue circle", ["blue circle", "blue circle"], 3 / 4),
        ("a red circle in the top left", ["red circle"], 1),
        ("a red circle in the top left", ["", "red circle"], 1 / 2),
        ("a red circle in the top left", ["blue circle"], 1 / 4),
        ("a red circle above a blue square", ["red circle", "", "blue square"], 1),
        ("a red circle above a blue square", ["blue square", "", "red circle"], 2 / 3),
        ("a red circle above a blue square", ["red circle", "blue square"], 2 / 3),
        ("a red circle above a blue square", ["red circle", "", "", "blue square"], 1),
        ("a red circle above a blue square", ["red circle", "", "green square"], 1 / 2),
        ("a red circle right of a blue square", ["blue square", "red circle"], 1),
    ],
)
def test_each_thing_and_each_position_counts_once(text, names, value):
    assert score(scene(*names), text) == pytest.approx(value)
    assert score(scene(*names), text, strict=True) == float(value == 1)


def test_an_object_of_no_known_shape_is_one_too_many():
    image = scene("red circle").copy()
    image[20:28, 4:28] = BLUE
    assert [item.name for item in parse(image)] == ["circle", "object"]
    assert score(image, "a red circle") == 1 / 2


def test_a_speck_is_a_flaw_and_no_object():
    image = scene("red circle").copy()
    image[24:27, 24:27] = GREEN
    assert score(image, "a red circle") == 1


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (31, 33), (700, 500)])
def test_a_picture_of_any_size_can_be_judged(size):
    assert score(np.full((*size, 3), 245, dtype=np.uint8), "a red circle") == 0


def test_the_scorer_hands_it_the_drawing_and_the_columns_of_the_row(rollout):
    caption = EVERY["a red circle above a blue square"]
    metadata = {"include": caption.include, "exclude": caption.exclude}
    drawn = replace(
        rollout("", task="image", answer=None, metadata=metadata), image=scene("red circle", "", "blue square")
    )
    scorer = Scorer({"shapes": RewardEntry()})
    scorer.check([drawn.prompt])
    assert scorer.score([drawn])[0].reward == 1
