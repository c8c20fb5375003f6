"""Label maps as image files: read, and written in the formats that benchmark servers read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from protoxai.images import Exif, StoredImage, open_image, upright
from protoxai.runtime.checks import shown
from protoxai.runtime.palette import Colour

LOSSLESS = ("PNG", "TIFF", "BMP")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")


def read_labels(path: Path, page: int | None = None, *, exif: Exif | None = "ignore") -> Tensor:
    """Read a label map: its values as they are stored, those of a palette image as its indices.

    Args:
        path: Path of a PNG, TIFF or BMP file with one channel of 1 to 32 bits.
        page: Index of the image; None if the file has to hold a single one.
        exif: What to do with the orientation of a camera, which some editors copy into label maps:
            ``"apply"``, ``"ignore"``, or None to refuse the file.

    Returns:
        Stored values (H, W), uint8, or int32 if the file has 16 bits or more.

    Raises:
        ValueError: If the file cannot be read, its compression changes values, it has several
            channels, or several images without a ``page``.
    """
    stored = open_image(path, page)
    pixels = stored.pixels
    if stored.format not in LOSSLESS or pixels.info.get("compression") in LOSSY_TIFF:
        raise ValueError(
            f"{path} is a label map stored as {stored.format}, expected {', '.join(LOSSLESS)} "
            "without JPEG compression, which changes class numbers: export it as PNG again"
        )
    if stored.channels != 1 or (
        pixels.mode not in ("1", "L", "P") and not pixels.mode.startswith("I")
    ):
        raise ValueError(
            f"{path}: got a label image of mode {pixels.mode}, expected one channel of class "
            f"numbers, not {stored.channels}: save colours as class numbers (PNG mode L, P or I;16)"
        )
    if stored.inverted:
        raise ValueError(
            f"{path}: got a label image in which 0 is white, expected class numbers: save it as PNG"
        )
    if exif is None and stored.orientation != 1:
        raise ValueError(
            f"{path} is a label map with the EXIF orientation {stored.orientation}: save it "
            "without, or give exif='apply' if viewers show it as it should lie on its image, or "
            "exif='ignore' if its stored pixels do"
        )
    values = _values(stored)
    return upright(values, stored.orientation) if exif == "apply" else values


def check_stored(stored: Tensor, known: Tensor, expected: str) -> None:
    """Raise an error if a label map holds values that its data set does not have.

    Args:
        stored: Values of a label map.
        known: Whether the data set has each of them, of the same shape.
        expected: Description of the values that it has.

    Raises:
        ValueError: If one of them is unknown.
    """
    if not bool(known.all()):
        values = stored[~known].unique().tolist()
        raise ValueError(
            f"label map with the values {shown(values)}, expected {expected}: get the original "
            "label maps"
        )


def indexed_image(codes: Tensor, palette: Sequence[Colour]) -> Image.Image:
    """Return an 8-bit image of numbers that is displayed in the colours of a palette.

    Args:
        codes: Integers (H, W) in 0-255.
        palette: Colours of the first numbers; the others are black.

    Returns:
        A Pillow image of mode P.

    Example:
        >>> import torch
        >>> indexed_image(torch.tensor([[0, 1]]), [(0, 0, 0), (128, 0, 0)]).getpixel((1, 0))
        1
    """
    image = grey_image(codes)
    channels = [channel for colour in palette for channel in colour]
    # Pillow writes files of fewer bits for a short palette, and so loses the larger numbers.
    image.putpalette(channels + [0] * (3 * 256 - len(channels)))
    return image


def grey_image(codes: Tensor, *, bits: int = 8) -> Image.Image:
    """Return a grey image of numbers.

    Args:
        codes: Integers (H, W) from 0 to 255, or to 65535 with 16 bits.
        bits: Bits per pixel, 8 or 16.

    Returns:
        A Pillow image of mode L or I;16.
    """
    return Image.fromarray(codes.cpu().numpy().astype(np.uint8 if bits == 8 else np.uint16))


def _values(stored: StoredImage) -> Tensor:
    array = np.array(stored.pixels)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype != np.uint8:
        return torch.from_numpy(array.astype(np.int32))
    if stored.pixels.mode == "L" and stored.bits < 8:
        array = array // (255 // (2**stored.bits - 1))  # Pillow stretches grey to 0-255
    return torch.from_numpy(array)
