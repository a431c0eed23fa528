import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from unigrpo.data import images
from unigrpo.data.images import fit_image, read_image
from unigrpo.errors import DataError

WHERE = "rows.jsonl line 7"


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that JPEG keeps."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 / height, columns * 255 / width, np.full((height, width), 90)], axis=2).astype(np.uint8)


def encoded(picture: Image.Image, kind: str = "PNG", **settings) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    data = b"IDAT" + zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_picture_is_the_same_from_a_path_its_bytes_and_its_pixels(tmp_path, kind):
    pixels = noise(5, 7)
    data = encoded(Image.fromarray(pixels), kind)
    (tmp_path / "a").write_bytes(data)
    for source in (str(tmp_path / "a"), tmp_path / "a", data, pixels):
        np.testing.assert_array_equal(read_image(source, WHERE), pixels)


def test_a_photo_is_upright(tmp_path):
    picture, exif = Image.fromarray(smooth(24, 40)), Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    found = read_image(encoded(picture, "JPEG", exif=exif, quality=100, subsampling=0), WHERE)
    np.testing.assert_allclose(found.astype(int), np.rot90(smooth(24, 40), -1), atol=4)


def test_what_is_transparent_is_white():
    layers = np.zeros((1, 3, 4), dtype=np.uint8)
    layers[0, :, 0], layers[0, :, 3] = 200, [255, 0, 51]
    found = read_image(encoded(Image.fromarray(layers)), WHERE)
    np.testing.assert_array_equal(found[0], [[200, 0, 0], [255, 255, 255], [244, 204, 204]])


def test_the_transparent_colour_of_a_palette_is_white():
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    np.testing.assert_array_equal(read_image(encoded(picture), WHERE)[0], np.eye(3, dtype=np.uint8) * 255)
    found = read_image(encoded(picture, transparency=1), WHERE)[0]
    np.testing.assert_array_equal(found, [[255, 0, 0], [255, 255, 255], [0, 0, 255]])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "RGBA"])
def test_every_mode_becomes_rgb(mode):
    picture = Image.new("L", (3, 2), 255).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    np.testing.assert_array_equal(read_image(encoded(picture, kind), WHERE), np.full((2, 3, 3), 255))


def test_sixteen_bits_are_scaled_to_eight():
    grey = np.array([[0, 128, 257, 32768, 65535]], dtype=np.uint16)
    found = read_image(encoded(Image.fromarray(grey)), WHERE)
    np.testing.assert_array_equal(found[0], np.repeat([[0], [0], [1], [128], [255]], 3, axis=1))


@pytest.mark.parametrize("type_", [np.int32, np.float32])
def test_32_bit_pixels_are_refused(type_):
    with pytest.raises(DataError, match=r"^rows\.jsonl line 7: the image has 32-bit pixels"):
        read_image(encoded(Image.fromarray(np.ones((2, 2), dtype=type_)), "TIFF"), WHERE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the image of 0 bytes cannot be read"),
        (b"no picture at all", "cannot be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be read: it is none of PNG, JPEG"),
        (encoded(Image.fromarray(noise(64, 64)))[:-3000], "cannot be read"),
        (encoded(Image.fromarray(noise(64, 64)), "JPEG")[:-900], "cannot be read .*truncated"),
        (encoded(Image.fromarray(noise(9, 9)))[:30], "cannot be read"),
        (png_header(0, 5), "cannot be read|which is nothing"),
    ],
    ids=["empty", "text", "postscript", "cut png", "cut jpeg", "header", "no width"],
)
@pytest.mark.parametrize("as_file", [False, True])
def test_what_is_no_sound_picture_is_refused_by_its_row(tmp_path, data, message, as_file):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    message = message.replace("of 0 bytes", f"'{path}'") if as_file else message
    with pytest.raises(DataError, match=rf"^rows\.jsonl line 7: .*({message})") as caught:
        read_image(path if as_file else data, WHERE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.png", "", "folder", "nul\0.png"])
def test_a_missing_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"^rows\.jsonl line 7: the image .* (does not exist|cannot be read)"):
        read_image(name, WHERE)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (30_000, 30_000, "30000 x 30000 pixels, more than 50,000,000 in all"),
        (8_000, 8_000, "8000 x 8000 pixels, more than 50,000,000 in all"),
        (20_000, 1_000, "20000 x 1000 pixels, more than .* 16,384 on a side"),
        (51, 1, "51 x 1 pixels, more than 50 times as long as wide"),
        (1, 51, "1 x 51 pixels, more than 50 times as long as wide"),
    ],
)
def test_a_picture_too_large_is_refused_before_it_is_unpacked(monkeypatch, width, height, message):
    def unpacked(*args, **settings):
        raise AssertionError("unpacked")

    monkeypatch.setattr(Image.Image, "convert", unpacked)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unpacked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=rf"^rows\.jsonl line 7: the image .*({message}|exceeds limit)"):
            read_image(png_header(width, height), WHERE)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_pixels_of_another_type_or_shape_are_refused(pixels):
    with pytest.raises(DataError, match=r"^rows\.jsonl line 7: the image is"):
        read_image(pixels, WHERE)


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (33, 33), (16, 16), (31, 17), (5, 9), (100, 3)])
def test_crop_is_the_resize_and_centre_crop_of_torchvision(shape):
    pixels = noise(*shape)
    other = Compose([Resize(16, interpolation=InterpolationMode.BICUBIC), CenterCrop(16)])(Image.fromarray(pixels))
    np.testing.assert_array_equal(fit_image(pixels, 16, "crop"), np.asarray(other))


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_a_square_of_the_right_size_is_left_as_it_is(fit):
    np.testing.assert_array_equal(fit_image(noise(16, 16), 16, fit), noise(16, 16))


@pytest.mark.parametrize("shape", [(8, 16), (16, 8)])
def test_pad_puts_the_picture_in_the_middle_of_a_white_square(shape):
    pixels = noise(*shape)
    found = fit_image(pixels, 16, "pad")
    inside = np.zeros((16, 16), dtype=bool)
    inside[tuple(slice((16 - side) // 2, (16 + side) // 2) for side in shape)] = True
    np.testing.assert_array_equal(found[inside].reshape(pixels.shape), pixels)
    assert (found[~inside] == 255).all()


def test_squash_scales_each_side_by_itself():
    halves = np.zeros((4, 40, 3), dtype=np.uint8)
    halves[:, 20:] = 255
    found = fit_image(halves, 8, "squash")
    assert (found[:, :3] < 10).all()
    assert (found[:, 5:] > 245).all()
    assert (found == found[:1]).all()


def test_the_limits_leave_room_for_a_camera_and_bound_what_fitting_needs():
    assert images.MAX_PIXELS >= 48_000_000
    widest = images.MAX_SIDE**2 * 3
    assert widest < 2**30
