"""Pictures from files, bytes or arrays to square RGB arrays. What is not a sound picture is refused, by its row.

A file is judged by its header first: one that would unpack to gigabytes is never unpacked.
"""

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from unigrpo.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is read. Pillow knows more, some of them by starting other programs."""
MAX_PIXELS = 50_000_000
MAX_SIDE = 16_384
MAX_ASPECT = 50
"""Longest side over the shortest: making such a picture square would need far more memory than it has itself."""
WHITE = (255, 255, 255)

Source = str | Path | bytes | np.ndarray
"""A path, the bytes of a file, or pixels."""
Fit = Literal["crop", "squash", "pad"]


def read_image(source: Source, where: str) -> np.ndarray:
    """Return a picture as [H, W, 3] uint8 RGB: upright, transparent parts on white, 16-bit grey scaled to 8.

    Args:
        where: file and row, with which messages start.

    Raises:
        DataError: it is missing, no picture, cut short, empty, or too large.
    """
    if isinstance(source, np.ndarray):
        return _checked(source, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, at a lower limit
            with _opened(source, where) as image:
                _check_size(*image.size, where)
                return _rgb(ImageOps.exif_transpose(image), where)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            f"{where}: the image {_name(source)} cannot be read: it is none of {', '.join(FORMATS)}."
        ) from None
    except Exception as error:  # a decoder raises whatever a broken file makes it raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{where}: the image {_name(source)} cannot be read ({reason:.120}). Save it again, or remove the row."
        ) from None


def fit_image(image: np.ndarray, resolution: int, fit: Fit) -> np.ndarray:
    """Return [resolution, resolution, 3] uint8, resampled with an antialiased bicubic filter.

    Args:
        image: [H, W, 3] uint8.
        fit: `crop` scales the shorter side and cuts out the centre, `squash` scales each side by itself, `pad` puts
            the picture in the middle of a white square first.
    """
    picture = Image.fromarray(image)
    if fit == "crop":
        picture = _cropped(picture, resolution)
    else:
        picture = _padded(picture) if fit == "pad" else picture
        picture = picture.resize((resolution, resolution), Image.Resampling.BICUBIC)
    return np.array(picture)


def _cropped(picture: Image.Image, resolution: int) -> Image.Image:
    shorter = min(picture.size)
    size = [int(resolution * side / shorter) for side in picture.size]
    picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    left, top = (round((side - resolution) / 2) for side in size)
    return picture.crop((left, top, left + resolution, top + resolution))


def _padded(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    square = Image.new("RGB", (side, side), WHITE)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def _opened(source: str | Path | bytes, where: str) -> Image.Image:
    if isinstance(source, bytes):
        return Image.open(io.BytesIO(source), formats=FORMATS)
    if not Path(source).is_file():
        raise DataError(f"{where}: the image {_name(source)} does not exist. Correct the path, or data.image_root.")
    return Image.open(source, formats=FORMATS)


def _name(source: str | Path | bytes) -> str:
    return f"of {len(source)} bytes" if isinstance(source, bytes) else repr(str(source))


def _checked(image: np.ndarray, where: str) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"{where}: the image is {image.dtype} {list(image.shape)}, but must be uint8 [H, W, 3].")
    _check_size(image.shape[1], image.shape[0], where)
    return image


def _check_size(width: int, height: int, where: str) -> None:
    found = f"{where}: the image is {width} x {height} pixels"
    if not width or not height:
        raise DataError(f"{found}, which is nothing. Give another, or remove the row.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        most = f"{MAX_PIXELS:,} in all and {MAX_SIDE:,} on a side"
        raise DataError(f"{found}, more than {most}. Scale it down, or remove the row.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(f"{found}, more than {MAX_ASPECT} times as long as wide. Crop it, or remove the row.")


def _rgb(image: Image.Image, where: str) -> np.ndarray:
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image).astype(np.float32) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise DataError(f"{where}: the image has 32-bit pixels, whose white is not known. Save it with 8 or 16 bits.")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (*WHITE, 255)), layer)
    return np.array(image.convert("RGB"))
