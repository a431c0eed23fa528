import math

import numpy as np
import pytest

from unigrpo.data.world import BACKGROUND, CELLS, COLOURS, SHAPES, THINGS, Scene, Thing, render

AREAS = {"square": 1.0, "circle": math.pi / 4, "triangle": 0.5}


def alone(thing, cell="top left"):
    return Scene(tuple(thing if name == cell else None for name in CELLS))


def ink(image, thing):
    """Share of each pixel that the thing covers, from its most contrasting channel."""
    paint, ground = np.array(COLOURS[thing.colour]), np.array(BACKGROUND)
    channel = int(np.argmax(abs(paint - ground)))
    return (image[..., channel].astype(float) - ground[channel]) / (paint[channel] - ground[channel])


@pytest.mark.parametrize("size", [16, 32, 48, 256])
@pytest.mark.parametrize("thing", THINGS, ids=str)
def test_a_shape_has_its_area_and_place_at_every_size(thing, size):
    side = 0.75 * size / 2
    for number, cell in enumerate(CELLS):
        cover = ink(render(alone(thing, cell), size), thing)
        assert cover.sum() == pytest.approx(AREAS[thing.shape] * side**2, rel=0.02)
        y, x = np.indices(cover.shape) + 0.5
        drop = side / 6 if thing.shape == "triangle" else 0
        center = (cover * x).sum() / cover.sum(), (cover * y).sum() / cover.sum()
        assert center == pytest.approx(
            (size / 4 + number % 2 * size / 2, size / 4 + number // 2 * size / 2 + drop), abs=0.1
        )


def test_cells_do_not_touch_and_the_rest_is_ground():
    image = render(Scene((THINGS[0], THINGS[5], THINGS[10], THINGS[3])))
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    for line in (0, 1, 14, 15, 16, 17, 30, 31):
        assert (image[line] == BACKGROUND).all()
        assert (image[:, line] == BACKGROUND).all()


def test_no_two_scenes_of_one_thing_look_alike():
    images = {render(alone(thing, cell)).tobytes() for thing in THINGS for cell in CELLS}
    assert len(images) == len(SHAPES) * len(COLOURS) * len(CELLS)


def test_a_large_picture_scaled_down_is_the_small_one():
    scene = Scene((Thing("circle", "red"), Thing("triangle", "blue"), None, Thing("square", "yellow")))
    small = render(scene, 256).reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
    assert abs(small - render(scene)).max() < 12
