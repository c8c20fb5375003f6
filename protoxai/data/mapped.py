"""Data sets of one's own: any object with a length and samples by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.labels import check_labels
from protoxai.runtime.checks import short, shown
from protoxai.runtime.palette import Colour
from protoxai.runtime.tensors import Kind, tensor

SAMPLE = 'a pair (image, labels), or a mapping with "image", "labels" and perhaps "id"'


class Items(Protocol):
    """Samples by number, such as a list or a map-style data set of PyTorch."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int, /) -> Any:
        """Return a sample by its number."""


class MappedDataset(SegmentationDataset):
    """A data set over any object with ``len`` and ``[]``, wherever its samples are.

    A sample is a pair (image, labels), or a mapping with "image", "labels" and, if it has a name,
    "id"; otherwise its number is its name. The image is uint8 (3, H, W), RGB, the labels are
    integers (H, W); both are tensors, NumPy arrays or Pillow images. They are to be as stored,
    without random changes: resizing, augmentation and normalisation are transforms. Items that can
    redraw an image without one part of an object have ``without_parts(index, class_index)`` too,
    which returns such samples, see :meth:`SegmentationDataset.raw_without_parts`.

    Args:
        items: Samples by number, from 0. A number always gives the same sample, in every process.
        class_names: Name of each class, in the order of the labels.
        palette: Colour (red, green, blue) of each class, 0-255; None generates distinct ones.
        ignore_index: Label of pixels that never count, outside of ``0 … C-1``.
        transform: Transform of each sample, see :class:`SegmentationDataset`.

    Raises:
        TypeError: If the items have no length or no samples by number. On reading, if a sample is
            of another kind; the error names it.
        ValueError: If the classes do not fit. On reading, if a shape or a label does not fit.

    Example:
        >>> black, labels = torch.zeros(3, 2, 4, dtype=torch.uint8), torch.ones(2, 4).long()
        >>> dataset = MappedDataset([(black, labels)], ["road", "field"])
        >>> dataset[0]["image"].shape, dataset[0]["id"]
        (torch.Size([3, 2, 4]), '0')
    """

    def __init__(
        self,
        items: Items,
        class_names: Sequence[str],
        palette: Sequence[Colour] | None = None,
        *,
        ignore_index: int = 255,
        transform: Transform | None = None,
    ) -> None:
        super().__init__(class_names, palette, ignore_index=ignore_index, transform=transform)
        has_numbers = hasattr(items, "__len__") and hasattr(items, "__getitem__")
        if not has_numbers or isinstance(items, Mapping | str | bytes):
            raise TypeError(
                f"items is {shown(items)}, expected an object with len(items) and items[number]"
            )
        self.items = items

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.items)

    def raw(self, index: int) -> RawSample:
        """Return a sample as the items give it."""
        self.check_index(index)
        return self._raw(self.items[index], index)

    @property
    def redraws(self) -> bool:
        """Whether the items have ``without_parts``."""
        return hasattr(self.items, "without_parts")

    def raw_without_parts(self, index: int, class_index: int) -> Iterable[RawSample]:
        """Return the items' samples without one part of one object of a class each."""
        self.check_index(index)
        if not self.redraws:
            return super().raw_without_parts(index, class_index)
        samples: Iterable[Any] = self.items.without_parts(index, class_index)  # type: ignore[attr-defined]
        return (self._raw(sample, index) for sample in samples)

    def _raw(self, item: Any, index: int) -> RawSample:
        """Return a sample of the items, checked."""
        image, labels, name = _parts(item, index)
        shown_name = short(name)
        title = f"image of sample {shown_name}"
        tensor(title, image, "channels height width", "real numbers", sizes={"channels": 3})
        if image.dtype != torch.uint8:
            raise TypeError(
                f"{title}: got {image.dtype}, expected uint8, from 0 to 255: convert values from 0 "
                "to 1 with (255 * image).round().to(torch.uint8)"
            )
        height, width = image.shape[1:]
        sizes = {"height": height, "width": width}
        tensor(f"labels of sample {shown_name}", labels, "height width", "integers", sizes=sizes)
        labels = labels.long()
        check_labels(labels, self.num_classes, self.ignore_index, source=f"sample {shown_name}")
        return RawSample(image, labels, name)


def _parts(sample: Any, index: int) -> tuple[Tensor, Tensor, str]:
    """Return the image, the labels and the name of a sample."""
    name = str(index)
    if isinstance(sample, Mapping):
        missing = [key for key in ("image", "labels") if key not in sample]
        if missing:
            raise TypeError(
                f"items[{index}] has {sorted(map(str, sample))} but no {' and no '.join(missing)}: "
                f"expected {SAMPLE}"
            )
        image, labels, name = sample["image"], sample["labels"], str(sample.get("id", name))
    elif isinstance(sample, Sequence) and not isinstance(sample, str) and len(sample) == 2:
        image, labels = sample
    else:
        raise TypeError(f"items[{index}] is {shown(sample)}, expected {SAMPLE}")
    title = f"image of sample {short(name)}"
    if isinstance(image, Image.Image) and image.mode != "RGB":
        raise TypeError(
            f"{title}: got a Pillow image of mode {image.mode}, expected RGB: convert it with "
            'image.convert("RGB")'
        )
    labels = _as_tensor(f"labels of sample {short(name)}", labels, "integers")
    return _as_tensor(title, image, "real numbers"), labels, name


def _as_tensor(title: str, value: Any, kind: Kind) -> Tensor:
    if isinstance(value, Image.Image):
        # A grey image has one channel, which labels do not have.
        stored: Tensor = pil_to_tensor(value)
        return stored[0] if len(stored) == 1 else stored
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value.copy())
    return tensor(title, value, kind=kind)
