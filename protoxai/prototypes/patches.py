"""Patches: the picture that is kept of a prototype's surroundings in its training image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from protoxai.prototypes.provenance import Box, Provenance
from protoxai.runtime.checks import NOT_NEGATIVE, instance, shown, wholes_of

CONTEXT = 3
"""Height and width of a patch's window, in heights and widths of the active region."""
LONG_SIDE = 192
"""Largest height and width of a picture, in pixels."""
QUALITY = 80
"""WebP quality of a picture."""
ACTIVATION_SIDE = 24
"""Largest number of rows and columns of an activation over a window."""
MOST_BYTES = 2**18
_MARK = b"WEBPVP8 "
_START = b"\x9d\x01\x2a"


@dataclass(frozen=True, eq=False)
class Patch:
    """The picture that is kept of a prototype's surroundings.

    Attributes:
        content: Picture as a plain lossy WebP file (no animation, no metadata), at most 192 pixels
            high and wide.
        window: Box of the original image that the picture shows: 3 times the active region, clipped
            to the image.
        activation: Activation of the projected prototype over the window, uint8 (rows, cols) of at
            most 24 each; 255 is its highest possible activation, ``log(1 / epsilon)``.

    Raises:
        TypeError: If a value has another type.
        ValueError: If the picture is of another format or too large, or the window is empty.

    Example:
        >>> image, activation = np.zeros((3, 40, 60), np.uint8), np.eye(2, dtype=np.uint8)
        >>> patch = Patch.cut(image, (0, 0, 40, 60), activation)
        >>> patch.picture().shape, patch.within((10, 5, 20, 25))
        ((40, 60, 3), (10, 5, 20, 25))
    """

    content: bytes
    window: Box
    activation: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Check the values, without decoding the picture."""
        picture_size(self.content)
        top, left, bottom, right = wholes_of("window", self.window, 4, NOT_NEGATIVE)
        if top >= bottom or left >= right:
            raise ValueError(
                f"window is {shown(self.window)}, expected top < bottom and left < right"
            )
        object.__setattr__(self, "window", (top, left, bottom, right))
        activation = instance("activation", self.activation, np.ndarray)
        if activation.dtype != np.uint8:
            raise TypeError(f"activation is {shown(activation)}, expected uint8")
        if activation.ndim != 2 or not all(0 < n <= ACTIVATION_SIDE for n in activation.shape):
            raise ValueError(
                f"activation has shape {activation.shape}, expected (rows, cols), at most "
                f"{ACTIVATION_SIDE} each"
            )

    def __eq__(self, other: object) -> bool:
        """Return whether another patch has the same content."""
        return (
            isinstance(other, Patch)
            and (self.content, self.window) == (other.content, other.window)
            and np.array_equal(self.activation, other.activation)
        )

    def __hash__(self) -> int:
        """Return the hash of the content."""
        return hash((self.content, self.window))

    @classmethod
    def cut(
        cls,
        image: NDArray[np.uint8],
        window: Box,
        activation: NDArray[np.uint8],
        size: tuple[int, int] | None = None,
    ) -> Self:
        """Cut a window out of an image, and compress it.

        Args:
            image: RGB image (3, H', W'), uint8.
            window: Box of the original image to show.
            activation: Activation over the window, uint8 (rows, cols).
            size: Height and width (H, W) of the original image, if ``image`` is a resized one.
        """
        from PIL import Image

        height, width = image.shape[1:]
        scales = [
            n / original
            for n, original in zip((height, width), size or (height, width), strict=True)
        ]
        top, left, bottom, right = (
            end * scale for end, scale in zip(window, scales * 2, strict=True)
        )
        shrink = min(1, LONG_SIDE / max(bottom - top, right - left))
        target = [max(1, round(n * shrink)) for n in (right - left, bottom - top)]
        pixels = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        picture = pixels.resize(
            (target[0], target[1]), Image.Resampling.BICUBIC, box=(left, top, right, bottom)
        )
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=QUALITY)
        return cls(file.getvalue(), window, activation)

    def picture(self) -> NDArray[np.uint8]:
        """Return the decoded picture, uint8 (h, w, 3).

        Raises:
            ValueError: If the picture is damaged.
        """
        from PIL import Image

        height, width = picture_size(self.content)
        try:
            with Image.open(io.BytesIO(self.content), formats=("WEBP",)) as image:
                if image.size == (width, height):
                    return np.array(image.convert("RGB"))
        except Exception as error:  # decoders raise errors of many types for damaged files
            raise ValueError(
                f"the picture of the patch is damaged ({error}): save the model again, or copy its "
                "whole folder again"
            ) from error
        raise ValueError(
            f"the picture of the patch is {image.size[0]}x{image.size[1]} pixels, but its header "
            f"says {width}x{height}: save the model again"
        )

    def within(self, box: Box) -> Box:
        """Return a box of the original image in pixels of the picture, clipped to it.

        Args:
            box: Box of the original image that overlaps the window.
        """
        size = picture_size(self.content) * 2
        start = self.window[:2] * 2
        length = [end - begin for begin, end in zip(start[:2], self.window[2:], strict=True)] * 2
        ends = [(end - begin) * pixels for end, begin, pixels in zip(box, start, size, strict=True)]
        top, left = (max(0, ends[i] // length[i]) for i in (0, 1))
        bottom, right = (min(size[i], -(-ends[i] // length[i])) for i in (2, 3))
        return top, left, bottom, right

    def activation_map(self) -> NDArray[np.float32]:
        """Return the activation at every pixel of the picture, float32 (h, w) in [0, 1]."""
        rows, cols = (
            np.arange(pixels) * cells // pixels
            for pixels, cells in zip(picture_size(self.content), self.activation.shape, strict=True)
        )
        shares: NDArray[np.float32] = self.activation[rows[:, None], cols] / np.float32(255)
        return shares


def context_window(region: Box, size: tuple[int, int]) -> Box:
    """Return the window that a patch shows: 3 times the active region, clipped to the image.

    Args:
        region: Active region.
        size: Height and width (H, W) of the original image.

    Example:
        >>> context_window((10, 20, 14, 30), size=(32, 48))
        (6, 10, 18, 40)
    """
    top, left, bottom, right = region
    height, width = ((CONTEXT - 1) * (bottom - top) // 2, (CONTEXT - 1) * (right - left) // 2)
    return (
        max(0, top - height),
        max(0, left - width),
        min(size[0], bottom + height),
        min(size[1], right + width),
    )


def check_patches(
    patches: Sequence[Patch | None] | None, provenance: Sequence[Provenance] | None
) -> tuple[Patch | None, ...] | None:
    """Return the patches of all prototypes, after checking that they fit the provenance.

    Args:
        patches: Patch of each prototype; None for a prototype without, or if none was kept.
        provenance: Provenance of each prototype; None if they were not projected.

    Raises:
        TypeError: If an entry is no patch.
        ValueError: If there is not one entry per prototype, a prototype that was not projected has
            a patch, or a window does not contain the active region and the feature pixel.
    """
    if patches is None:
        return None
    if provenance is None or len(patches) != len(provenance):
        count = "no" if provenance is None else len(provenance)
        raise ValueError(
            f"patches: got {len(patches)} for {count} prototypes with a provenance, expected one "
            "per prototype: project_prototypes sets both"
        )
    for index, (patch, entry) in enumerate(zip(patches, provenance, strict=True)):
        if patch is None:
            continue
        window = instance("patches", patch, Patch, "project_prototypes sets them").window
        for box in (entry.active_region, entry.patch):
            if box is None or not _contains(window, box):
                raise ValueError(
                    f"patch of prototype {index}: its window {window} does not contain the box "
                    f"{box} of the provenance"
                )
    return tuple(patches)


def picture_size(content: bytes) -> tuple[int, int]:
    """Return the height and width in the header of a picture, without decoding it.

    Args:
        content: Content of a plain lossy WebP file.

    Raises:
        TypeError: If the content is not bytes.
        ValueError: If it is another kind of file, or the picture is too large.
    """
    content = instance("content", content, bytes)
    plain = content[:4] == b"RIFF" and content[8:16] == _MARK and content[23:26] == _START
    if not plain or len(content) > MOST_BYTES or len(content) < 30:
        raise ValueError(
            f"the picture of a patch is {len(content)} bytes that begin with "
            f"{shown(content[:16])}, expected a plain lossy WebP of at most {MOST_BYTES} bytes"
        )
    width, height = (int.from_bytes(content[at : at + 2], "little") for at in (26, 28))
    if not 0 < width <= LONG_SIDE or not 0 < height <= LONG_SIDE:
        raise ValueError(
            f"the picture of a patch is {width}x{height} pixels, expected at most {LONG_SIDE} in "
            "height and width"
        )
    return height, width


def _contains(outer: Box, inner: Box) -> bool:
    begins = all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
    return begins and all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))
