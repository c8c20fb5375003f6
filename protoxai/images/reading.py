"""Image files, read as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from protoxai.runtime.files import regular_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP")
"""Formats of which it is known how many bits and channels a file has."""
DEEP_MODES = ("I", "F")
"""Beginnings of Pillow's modes of more than 8 bits per channel."""

Exif = Literal["apply", "ignore"]
"""What to do with the orientation that a camera wrote beside the pixels."""

_ORIENTATION, _SUBFILE, _BITS, _PHOTOMETRIC, _CHANNELS = 274, 254, 258, 262, 277
_WHITE_IS_ZERO = 0
_FLIPS = {1: (), 2: (-1,), 3: (-2, -1), 4: (-2,), 5: (), 6: (-1,), 7: (-2, -1), 8: (-2,)}
_STORED_AGAIN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class StoredImage:
    """An image as its file stores it.

    Attributes:
        pixels: Decoded pixels, not turned by the orientation of the camera.
        format: Name of the file's format, e.g. ``"PNG"``.
        bits: Bits per channel in the file; Pillow scales fewer than 8 to 8, and cuts 16 of colours.
        channels: Number of channels in the file; Pillow drops those beyond the fourth.
        pages: Number of images in the file, without previews and smaller copies.
        inverted: Whether 0 is stored for white.
        tag: Orientation that Pillow has removed from ``pixels``; None if it never does.
    """

    pixels: Image.Image
    format: str
    bits: int
    channels: int
    pages: int
    inverted: bool
    tag: object

    @property
    def orientation(self) -> int:
        """How a viewer turns the pixels: 1 (as they are) to 8, as numbered by EXIF."""
        try:
            tag = self.pixels.getexif().get(_ORIENTATION) if self.tag is None else self.tag
        except Exception:  # viewers show an image with damaged metadata as it is stored
            return 1
        return tag if isinstance(tag, int) and tag in _FLIPS else 1


def read_image(path: Path, page: int | None = None) -> Tensor:
    """Read an image file as RGB, in the orientation in which it is stored.

    Args:
        path: Path of an 8-bit JPEG, PNG, BMP, TIFF, GIF or WebP file.
        page: Index of the image; None if the file has to hold a single one.

    Returns:
        Image (3, H, W), uint8.

    Raises:
        ValueError: If the file cannot be read, or something would be lost: it has more than 8 bits
            per channel, transparent pixels, further channels, or several images without a ``page``.
    """
    return read_oriented(path, page)[0]


def read_oriented(path: Path, page: int | None = None) -> tuple[Tensor, int]:
    """Read an image file as :func:`read_image` does, and the orientation that its camera noted.

    Args:
        path: Path of an 8-bit JPEG, PNG, BMP, TIFF, GIF or WebP file.
        page: Index of the image; None if the file has to hold a single one.

    Returns:
        Image (3, H, W), uint8, as it is stored, and its orientation for :func:`upright`.

    Raises:
        ValueError: If :func:`read_image` raises it.
    """
    stored = open_image(path, page)
    pixels = stored.pixels
    if stored.bits > 8:
        raise ValueError(
            f"{path}: image mode {pixels.mode} with {stored.bits} bits, more than 8 bits per "
            "channel: scale it to 8 bits first, so that the choice of range is yours"
        )
    if stored.channels != len(pixels.getbands()):
        raise ValueError(
            f"{path} has {stored.channels} channels, of which {pixels.mode} would be read: save "
            "the three that the model should see as an RGB image"
        )
    return rgb(pixels, str(path)), stored.orientation


def rgb(pixels: Image.Image, name: str) -> Tensor:
    """Return a decoded image as RGB, as it is, whatever orientation its camera noted.

    Args:
        pixels: Decoded image of at most 8 bits per channel.
        name: Name of the image, for the error.

    Returns:
        Image (3, H, W), uint8.

    Raises:
        ValueError: If it has more than 8 bits per channel, or transparent pixels.
    """
    if pixels.mode.startswith(DEEP_MODES):
        raise ValueError(
            f"{name}: image mode {pixels.mode}, more than 8 bits per channel: scale it to 8 bits "
            "first, so that the choice of range is yours"
        )
    if pixels.has_transparency_data:
        rgba = pixels.convert("RGBA")
        least, _ = rgba.getchannel("A").getextrema()
        if least != 255:
            raise ValueError(
                f"{name} has transparent pixels, expected opaque ones: draw it on a background of "
                "your choice and save it as RGB"
            )
        pixels = rgba
    try:
        array = np.array(pixels.convert("RGB"))
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def upright(image: Tensor, orientation: int) -> Tensor:
    """Turn an image or label map as a viewer does.

    Args:
        image: Image or labels (..., H, W) as stored.
        orientation: Orientation from 1 (as it is) to 8, as numbered by EXIF.

    Returns:
        Image (..., H, W), or (..., W, H) if the orientation is 5 or more.

    Example:
        >>> upright(torch.tensor([[1, 2, 3]]), 6).tolist()
        [[1], [2], [3]]
    """
    turned = image.transpose(-2, -1) if orientation >= 5 else image
    return turned.flip(_FLIPS[orientation]).contiguous()


def open_image(path: Path, page: int | None = None) -> StoredImage:
    """Decode an image file, as it is stored.

    Args:
        path: Path of a JPEG, PNG, BMP, TIFF, GIF or WebP file.
        page: Index of the image; None if the file has to hold a single one.

    Raises:
        ValueError: If the file cannot be read, or holds several images and there is no ``page``.
    """
    path = regular_file(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty, expected an image: replace or remove the file")
    try:
        with path.open("rb") as file:
            stored = _decode(file, page or 0)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(
            f"{path} is larger than Pillow decodes ({error}): cut it into tiles, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        ) from error
    except Exception as error:  # decoders raise errors of many types for damaged files
        raise _unreadable(path, error) from error
    if page is None and stored.pages > 1:
        raise ValueError(
            f"{path} holds {stored.pages} images, expected one: save each as a file of its own"
        )
    return stored


def count_pages(path: Path) -> int:
    """Return the number of images in a file.

    Args:
        path: Path of a JPEG, PNG, BMP, TIFF, GIF or WebP file.

    Raises:
        ValueError: If the file cannot be read.
    """
    try:
        with Image.open(regular_file(path), formats=FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception as error:  # decoders raise errors of many types for damaged files
        raise _unreadable(path, error) from error


def _decode(file: BinaryIO, page: int) -> StoredImage:
    header = file.read(26)
    image = Image.open(file, formats=FORMATS)
    if image.format == "PNG":
        # Decoding alone misses some damages of the pixels that the checksums of the file show.
        image.verify()
        file.seek(0)
        image = Image.open(file, formats=FORMATS)
    pages = _full_pages(image)
    image.seek(page)
    bits, channels, inverted, tag = 8, len(image.getbands()), False, None
    if image.format == "PNG":
        bits = header[24]
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(_BITS, (1,)))
        channels = image.tag_v2.get(_CHANNELS, 1)
        inverted = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        tag = image.tag_v2.get(_ORIENTATION, 1)
    image.load()
    pixels: Image.Image = image
    if tag in _STORED_AGAIN and _ORIENTATION not in image.getexif():
        # Pillow turns TIFF files, and no others, while it loads them.
        pixels = image.transpose(_STORED_AGAIN[tag])
    return StoredImage(pixels, image.format or "", bits, channels, pages, inverted, tag)


def _full_pages(image: Image.Image) -> int:
    """Return the number of images in a file, without previews and smaller copies."""
    pages = int(getattr(image, "n_frames", 1))
    if image.format == "MPO":  # a JPEG with previews
        return 1
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return pages
    reduced = 0
    for number in range(1, pages):
        image.seek(number)
        reduced += int(image.tag_v2.get(_SUBFILE, 0)) & 1
    image.seek(0)
    return pages - reduced


def _unreadable(path: Path | str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = f"it is none of {', '.join(FORMATS)}"
    return ValueError(f"{path} cannot be read as an image ({reason}): replace or remove the file")
