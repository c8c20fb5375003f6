"""Labels: checks of their range, and sampling on the grid of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor

from protoxai.runtime.checks import instance, whole
from protoxai.runtime.tensors import tensor


def labels_at(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample a label map on another grid: nearest neighbour, centres aligned.

    Row ``i`` of the result is row ``floor((i + 1/2) * H / h)`` of the labels, columns alike.

    Args:
        labels: Integer labels (..., H, W).
        size: Height and width (h, w) of the grid to sample on.

    Returns:
        Labels (..., h, w).

    Example:
        >>> import torch
        >>> labels_at(torch.arange(6).view(1, 6), (1, 2))
        tensor([[1, 4]])
    """
    height, width = instance("labels", labels, Tensor).shape[-2:]
    h, w = size
    if (height, width) == (h, w):
        return labels
    if not height or not width:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected at least one pixel")
    rows = (2 * torch.arange(h, device=labels.device) + 1) * height // (2 * h)
    cols = (2 * torch.arange(w, device=labels.device) + 1) * width // (2 * w)
    return labels[..., rows[:, None], cols]


def check_not_turned(labels: tuple[int, ...], image: tuple[int, ...], *, source: str = "") -> None:
    """Raise an error if labels have the proportions of the image turned by 90 degrees.

    Labels may have another size than an image that was resized, in other proportions too; turned
    ones lie on other pixels.

    Args:
        labels: Height and width of the labels.
        image: Height and width of the image.
        source: Name of the sample, for the error.

    Raises:
        ValueError: If the labels fit the image only after a turn.
    """
    (rows, cols), (height, width) = labels, image
    # Resizing rounds each side to whole pixels.
    rounding = max(rows, cols, height, width)
    fits = abs(rows * width - cols * height) <= rounding
    fits_turned = abs(rows * height - cols * width) <= rounding
    if fits_turned and not fits:
        origin = f" of {source}" if source else ""
        raise ValueError(
            f"labels{origin} are {rows}x{cols} (height x width), but the image is "
            f"{height}x{width}: they are turned against each other, save both upright"
        )


def check_labels(
    labels: Tensor,
    num_classes: int,
    ignore_index: int,
    *,
    dims: str = "...",
    source: str = "",
    name: str = "labels",
) -> None:
    """Raise an error if labels do not fit the classes.

    The type and the ignore value are always checked. The values are checked on the CPU only,
    because reading them from another device would stall every training step.

    Args:
        labels: Integer labels of any shape.
        num_classes: Number of classes, which are ``0 … num_classes - 1``.
        ignore_index: Value of pixels that do not count, outside of the classes.
        dims: Names of the dimensions, see :func:`~protoxai.runtime.tensors.tensor`.
        source: Name of the file or sample with the labels, for the error.
        name: Name of the argument, for the error.

    Raises:
        TypeError: If the labels are not a tensor of integers.
        ValueError: If the shape does not fit, the ignore value is one of the classes, or a label is
            neither a class nor the ignore value.
    """
    origin = f" of {source}" if source else ""
    tensor(f"{name}{origin}", labels, dims, "integers", meta=True)
    check_ignore_index(ignore_index, num_classes)
    if labels.device.type != "cpu" or torch.compiler.is_compiling() or labels.numel() == 0:
        return
    low, high = labels.aminmax()
    if low >= 0 and high < num_classes:
        return
    wrong = (labels != ignore_index) & ((labels < 0) | (labels >= num_classes))
    if bool(wrong.any()):
        values = labels[wrong].unique().tolist()
        shown = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        raise ValueError(
            f"{name}{origin} hold {shown}; expected classes 0 to {num_classes - 1} or the ignore "
            f"value {ignore_index}: map the other values to a class or to {ignore_index}, or give "
            "the right num_classes or ignore_index"
        )


def check_ignore_index(ignore_index: int, num_classes: int) -> int:
    """Return the ignore value, or raise an error if it is one of the classes.

    Args:
        ignore_index: Value of pixels that do not count.
        num_classes: Number of classes, which are ``0 … num_classes - 1``.

    Raises:
        TypeError: If the ignore value is no number.
        ValueError: If it is not whole, or one of the classes.
    """
    ignore_index = whole("ignore_index", ignore_index)
    if 0 <= ignore_index < num_classes:
        raise ValueError(
            f"ignore_index {ignore_index} is one of the {num_classes} classes 0 to "
            f"{num_classes - 1}: choose a value outside of them, for example -1"
        )
    return ignore_index
