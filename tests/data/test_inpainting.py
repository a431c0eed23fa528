import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigrpo.data.inpainting import boxed, known_codes, whitened

CODES = np.arange(16) + 5
"""Of a picture of 16 x 16 pixels, 4 x 4 to a code."""


@given(st.data())
def test_a_code_stays_just_when_no_pixel_of_it_is_in_the_box(data):
    x0, y0 = (data.draw(st.integers(0, 15)) for _ in "xy")
    x1, y1 = data.draw(st.integers(x0 + 1, 16)), data.draw(st.integers(y0 + 1, 16))
    masked = boxed(f"{x0},{y0}, {x1} ,{y1}", 16)
    assert masked is not None
    assert masked.sum() == (x1 - x0) * (y1 - y0)
    free = {(y // 4) * 4 + x // 4 for y in range(y0, y1) for x in range(x0, x1)}
    if len(free) == 16:
        return
    expected = [-1 if place in free else code for place, code in enumerate(CODES)]
    assert known_codes(CODES, masked, 4).tolist() == expected


@pytest.mark.parametrize("text", ["mask.png", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,0,3,4"])
def test_what_is_no_box_is_left_to_be_a_file(text):
    assert boxed(text, 16) is None


@pytest.mark.parametrize(("fit", "shape"), [("squash", (8, 32)), ("pad", (16, 32)), ("crop", (16, 48))])
def test_a_mask_picture_is_fitted_like_its_image_and_padding_stays(fit, shape):
    mask = np.zeros((*shape, 3), dtype=np.uint8)
    left = shape[1] // 2
    mask[:, left:] = 255
    found = whitened(mask, mask.shape, 16, fit)
    expected = np.zeros((16, 16), dtype=bool)
    expected[slice(4, 12) if fit == "pad" else slice(None), 8:] = True
    np.testing.assert_array_equal(found, expected)
