import numpy as np
import pytest
import torch

from tests.images import picture, tiny_images
from unigrpo.config import ImageTokenizerSection
from unigrpo.errors import CheckpointError, ConfigError, DataError
from unigrpo.models.image_tokenizer import ImageTokenizer, to_images, to_pixels
from unigrpo.models.magvit_folder import load_magvit, save_magvit

IMAGES = tiny_images()


def test_images_of_any_shape_have_the_codes_of_the_network_in_the_order_given():
    images = [picture(n, *shape) for n, shape in enumerate([(8, 8), (4, 8), (8, 8), (8, 8), (12, 4), (8, 8), (8, 8)])]
    for image, codes in zip(images, IMAGES.encode(images), strict=True):
        with torch.inference_mode():
            [alone] = IMAGES.network.encode(to_pixels(image[None]))
        np.testing.assert_array_equal(codes, alone)
        assert codes.dtype == np.int64


@pytest.mark.parametrize("shape", [None, (1, 4), (4, 1)])
def test_codes_are_decoded_in_their_shape_and_order(shape):
    codes = list(np.random.default_rng(0).integers(0, 16, (7, 4)))
    for row, image in zip(codes, IMAGES.decode(codes, shape), strict=True):
        with torch.inference_mode():
            pixels = IMAGES.network.decode(torch.tensor(row)[None], shape or (2, 2))
        np.testing.assert_allclose(image.astype(int), to_images(pixels)[0], atol=1)


def test_squares_of_different_sizes_are_decoded_together():
    made = IMAGES.decode([np.zeros(4, dtype=np.int32), np.zeros(9, dtype=np.int64)])
    assert [image.shape for image in made] == [(8, 8, 3), (12, 12, 3)]


def test_nothing_gives_nothing():
    assert IMAGES.encode([]) == IMAGES.decode([]) == []


def test_every_level_of_grey_survives_the_way_to_pixels_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    np.testing.assert_array_equal(to_images(to_pixels(levels)), levels)
    assert (to_pixels(levels).min(), to_pixels(levels).max()) == (-1, 1)


def test_pixels_are_clipped_and_rounded():
    pixels = torch.tensor([-9.0, -1.0, 0.0, 1 / 255, 1.0, 9.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_images(pixels)[0, 0, :, 0].tolist() == [0, 0, 128, 128, 255, 255]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3)), r"image 1 is float64 \[8, 8, 3\], but must be uint8 \[H, W, 3\]"),
        (np.zeros((8, 8), np.uint8), r"uint8 \[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8 \[8, 8, 4\]"),
        (np.zeros((10, 8, 3), np.uint8), "image 1 is 8 x 10 pixels, but its sides must be multiples of 4"),
        (np.zeros((0, 8, 3), np.uint8), "image 1 is 8 x 0 pixels"),
    ],
)
def test_an_image_that_does_not_fit_is_named(image, message):
    with pytest.raises(DataError, match=message):
        IMAGES.encode([picture(0), image])


@pytest.mark.parametrize(
    ("codes", "shape", "message"),
    [
        ([0, 1, 2, 16], None, "image 1 has the code 16, but this tokenizer's codes are 0 to 15"),
        ([0, 1, -1, 3], None, "the code -1"),
        ([0, 1, 2], None, "image 1 has 3 codes, but must have a square number: say their shape"),
        (np.empty(0, np.int64), None, "has 0 codes"),
        ([0, 1, 2, 3], (2, 3), "image 1 has 4 codes, but must have 2 x 3"),
        ([0.0, 1.0, 2.0, 3.0], None, r"are float64 \[4\], but must be int"),
        ([[0, 1], [2, 3]], None, r"are int64 \[2, 2\]"),
    ],
)
def test_codes_that_make_no_image_are_refused(codes, shape, message):
    good = np.zeros(shape[0] * shape[1] if shape else 4, dtype=np.int64)
    with pytest.raises(DataError, match=message):
        IMAGES.decode([good, np.array(codes)], shape)


def test_a_tokenizer_loads_frozen_as_configured(tmp_path):
    save_magvit(IMAGES.network, tmp_path)
    found = ImageTokenizer.load(ImageTokenizerSection(path=str(tmp_path), resolution=12, batch_size=2))
    assert (found.codebook_size, found.factor, found.resolution, found.tokens) == (16, 4, 12, 9)
    assert not any(weight.requires_grad for weight in found.network.parameters())
    np.testing.assert_array_equal(found.encode([picture(1)]), IMAGES.encode([picture(1)]))


def test_what_cannot_be_loaded_says_which_setting_to_change(tmp_path):
    save_magvit(IMAGES.network, tmp_path)
    with pytest.raises(ConfigError, match=r"^model\.image_tokenizer\.path is not set"):
        ImageTokenizer.load(ImageTokenizerSection())
    with pytest.raises(ConfigError, match=r"^model\.image_tokenizer\.resolution is 30, .* multiple of 4\.$"):
        ImageTokenizer.load(ImageTokenizerSection(path=str(tmp_path), resolution=30))
    with pytest.raises(CheckpointError, match="no such folder"):
        ImageTokenizer.load(ImageTokenizerSection(path=str(tmp_path / "no")))


def test_codes_of_the_golden_tokenizer_are_those_of_its_vectors(golden_folder, vectors):
    images = ImageTokenizer(load_magvit(golden_folder / "vq.safetensors"), ImageTokenizerSection(batch_size=1))
    made = images.decode(list(vectors["vq.codes"].numpy()))
    np.testing.assert_allclose(np.stack(made).astype(int), to_images(vectors["vq.reconstruction"]), atol=1)
    wide = images.decode(list(vectors["vq.wide_codes"].numpy()), (2, 4))
    np.testing.assert_allclose(np.stack(wide).astype(int), to_images(vectors["vq.wide_reconstruction"]), atol=1)
