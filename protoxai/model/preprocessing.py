"""Images as users give them, and as a model requires them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.runtime.checks import shown
from protoxai.runtime.tensors import tensor

if TYPE_CHECKING:
    from PIL import Image

    from protoxai.model.segmenter import Segmenter

ImageInput: TypeAlias = Union[str, os.PathLike[str], "Image.Image", NDArray[np.uint8], Tensor]
"""A path, a Pillow image, an array (H, W, 3), or a tensor (3, H, W) or (B, 3, H, W)."""
EXPECTED = (
    "expected a path, a Pillow image, a uint8 array (H, W, 3), a uint8 tensor (3, H, W), or a "
    "normalised floating-point tensor (3, H, W) or (B, 3, H, W)"
)


class PreparedImage(NamedTuple):
    """Images as a model requires them, and as they were given.

    Attributes:
        pixels: Normalised images (B, 3, h, w).
        original: Images as they were given, uint8 (B, 3, H, W); None if they were normalised.
        size: Height and width (H, W) of the images as they were given.
    """

    pixels: Tensor
    original: Tensor | None
    size: tuple[int, int]


def prepare(model: Segmenter, image: ImageInput, name: str = "image") -> PreparedImage:
    """Resize and normalise images as a model's evaluation does; see ``model.preprocess``.

    Args:
        model: Model with the mean, the standard deviation and the settings of its evaluation.
        image: The image; normalised tensors stay as they are.
        name: Name of the argument, for errors.

    Raises:
        TypeError: If the image is of another type.
        ValueError: If it has another shape, or a file cannot be read without loss.
    """
    if isinstance(image, Tensor) and image.dtype != torch.uint8:
        return _normalised(model, name, image)
    original = _batch(name, _read(name, image))
    from torchvision.transforms.v2.functional import resize

    from protoxai.images import normalise

    settings = model.evaluation_settings
    size = None if settings is None else settings.evaluation_size
    antialias = settings is None or settings.antialias
    lengths = [size] if isinstance(size, int) else list(size or ())
    pixels = original
    # Before the normalisation, a resized image is rounded to 8 bits.
    if lengths and antialias:
        pixels = resize(pixels, lengths, antialias=True)
    pixels = normalise(pixels, model.mean, model.std)
    if lengths and not antialias:
        pixels = resize(pixels, lengths, antialias=False)
    weight = next(model.parameters())
    height, width = original.shape[2:]
    return PreparedImage(pixels.to(weight), original, (height, width))


def _normalised(model: Segmenter, name: str, images: Tensor) -> PreparedImage:
    tensor(name, images, "... channels height width", meta=True, hint=EXPECTED)
    images = images[None] if images.dim() == 3 else images
    if images.dim() != 4:
        raise ValueError(f"{name}: got shape {tuple(images.shape)}, {EXPECTED}")
    _warn_unless_normalised(model, name, images)
    return PreparedImage(images, None, (images.shape[2], images.shape[3]))


def _warn_unless_normalised(model: Segmenter, name: str, images: Tensor) -> None:
    """Warn of values that no normalised photograph has: all in [0, 1], or some near 255.

    As in :func:`~protoxai.model.finiteness.check_result`, values are read on the CPU only.
    """
    if images.device.type != "cpu" or torch.compiler.is_compiling() or 0 in images.shape:
        return
    low, high = (float(value) for value in images.detach().aminmax())
    as_given = set(model.mean) == {0.0} and set(model.std) == {1.0}
    unit = low >= 0 and 0.5 < high <= 1 and not as_given
    if unit or (low >= 0 and 50 < high <= 255):
        warnings.warn(
            f"{name}: got a floating-point tensor with values from {low:.3g} to {high:.3g}, which "
            "is taken as normalised but looks as if it were not: give the image as uint8, or "
            f"normalise it by the model's mean {tuple(model.mean)} and standard deviation "
            f"{tuple(model.std)}",
            stacklevel=5,
        )


def _read(name: str, image: ImageInput) -> Tensor:
    """Return an image that is not normalised yet, of any shape and type if it is a tensor."""
    if isinstance(image, Tensor):
        return image
    if isinstance(image, np.ndarray):
        return _of_array(name, image)
    from PIL import Image

    from protoxai.images import read_oriented, rgb, upright

    if isinstance(image, str | os.PathLike):
        return upright(*read_oriented(Path(image)))
    if isinstance(image, Image.Image):
        return rgb(image, name)
    raise TypeError(f"{name}: got {shown(image)} ({type(image).__name__}), {EXPECTED}")


def _of_array(name: str, array: NDArray[Any]) -> Tensor:
    if array.dtype != np.uint8:
        raise TypeError(
            f"{name}: got an array of {array.dtype}, whose range is unknown, expected uint8 (0 to "
            "255): scale it to 0 to 255 and round it, or normalise it yourself and pass a tensor"
        )
    if array.ndim != 3 or array.shape[2] != 3:
        hint = "repeat a grey image three times, leave out an alpha channel"
        if array.ndim == 3 and array.shape[0] == 3:
            hint = "pass torch.from_numpy(array), since tensors have the channels first"
        raise ValueError(f"{name}: got an array of shape {array.shape}, expected (H, W, 3): {hint}")
    return torch.from_numpy(array.copy()).permute(2, 0, 1)


def _batch(name: str, image: Tensor) -> Tensor:
    """Return a uint8 image as a batch (B, 3, H, W)."""
    images = image[None] if image.dim() == 3 else image
    if images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape:
        shape = tuple(images.shape)
        raise ValueError(
            f"{name}: got shape {shape}, expected an RGB image (3, H, W) or (B, 3, H, W) with at "
            "least one pixel"
        )
    return images
