"""Label maps as image files, in the forms that benchmark servers read."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from protoxai.data.palette import Colour


def indexed_image(codes: Tensor, palette: Sequence[Colour]) -> Image.Image:
    """An 8-bit image of numbers, shown in the colours of a palette.

    Args:
        codes: (H, W), integers in 0-255.
        palette: the colours of the first numbers; the others are black.

    Returns:
        A Pillow image of mode P.

    Example:
        >>> import torch
        >>> indexed_image(torch.tensor([[0, 1]]), [(0, 0, 0), (128, 0, 0)]).getpixel((1, 0))
        1
    """
    image = grey_image(codes)
    image.putpalette([channel for colour in palette for channel in colour])
    return image


def grey_image(codes: Tensor, *, bits: int = 8) -> Image.Image:
    """A grey image of numbers.

    Args:
        codes: (H, W), integers from 0 to 255, or to 65535 with 16 bits.
        bits: 8 or 16.

    Returns:
        A Pillow image of mode L or I;16.
    """
    return Image.fromarray(codes.cpu().numpy().astype(np.uint8 if bits == 8 else np.uint16))
