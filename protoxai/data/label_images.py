"""Label maps as image files: read, and written in the formats that benchmark servers read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from protoxai.data.palette import Colour
from protoxai.images import open_image


def read_labels(path: Path, page: int = 0) -> Tensor:
    """Read a label map; a palette image is read as its indices, never as its colours.

    Args:
        path: Path of a file with one channel of 1, 8, 16 or 32 bits.
        page: Index of the image, in files that hold several.

    Returns:
        Stored values (H, W), uint8, or int32 if the file has 16 bits or more.

    Raises:
        ValueError: If the file cannot be read or has several channels.
    """
    image = open_image(path, page)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise ValueError(
            f"{path}: got a label image of mode {image.mode}, expected one channel of class "
            "numbers: save colours as class numbers (PNG mode L, P or I;16)"
        )
    array = np.array(image)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return torch.from_numpy(array if array.dtype == np.uint8 else array.astype(np.int32))


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
