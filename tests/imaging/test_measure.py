import math

import numpy as np
import pytest
from PIL import Image

from tests.images import picture, tiny_images
from unigrpo.imaging.measure import measure, page, psnr


def test_the_ratio_is_that_of_the_textbook_and_bounded_where_nothing_differs():
    wanted = np.full((3, 4, 4, 3), 100, dtype=np.uint8)
    made = wanted.copy()
    made[0] = 110
    made[1, :2] = 80
    expected = [10 * math.log10(255**2 / 100), 10 * math.log10(255**2 / 200), 10 * math.log10(255**2 * 12)]
    np.testing.assert_allclose(psnr(made, wanted), expected)


def test_a_tokenizer_is_measured_by_what_comes_back_and_which_codes_come_up():
    images = tiny_images()
    pictures = np.stack([picture(seed) for seed in range(7)])
    codes = np.concatenate(images.encode(list(pictures)))
    ratios = psnr(np.stack(images.decode(images.encode(list(pictures)))), pictures)
    found = measure(images, pictures)
    assert found["held_out/psnr"] == pytest.approx(ratios.mean())
    assert found["held_out/psnr_min"] == pytest.approx(ratios.min())
    assert found["held_out/codes_used"] == len(set(codes)) / 16
    shares = [list(codes).count(code) / len(codes) for code in set(codes)]
    assert found["held_out/perplexity"] == pytest.approx(math.prod(share**-share for share in shares))


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_page_is_a_readable_picture(tmp_path, count):
    page(tiny_images(), np.stack([picture(seed) for seed in range(count)]), tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as found:
        assert found.width > 100 * min(count, 12)
