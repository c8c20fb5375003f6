"""The base class of every data set: raw samples, a transform, checked labels."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NotRequired, Self, TypedDict, cast

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from protoxai.data.label_images import grey_image, indexed_image
from protoxai.images import unit_range
from protoxai.labels import check_ignore_index, check_labels
from protoxai.runtime.checks import function, palette_of, whole
from protoxai.runtime.names import check_class_names
from protoxai.runtime.palette import Colour, distinct_palette
from protoxai.runtime.tensors import tensor

Masks = dict[str, Tensor]
Transform = Callable[[Tensor, Masks], tuple[Tensor, Masks]]


class Sample(TypedDict):
    """One training or evaluation sample.

    Attributes:
        image: Image (3, H, W), float32, normalised.
        labels: Labels (h, w), int64, ``0 … C-1`` or the ignore index; in evaluation their size may
            differ from that of the image.
        index: Position in the data set.
        id: Name of the sample, which stays the same when the data set is reordered.
        parts: Parts (h, w), int64, 0 for no part; only if the data set has parts.
    """

    image: Tensor
    labels: Tensor
    index: int
    id: str
    parts: NotRequired[Tensor]


@dataclass(frozen=True)
class RawSample:
    """A sample before any transform.

    Attributes:
        image: Image (3, H, W), uint8, RGB.
        labels: Labels (H, W), int64.
        id: Name of the sample, e.g. the stem of its file.
        parts: Parts (H, W), int64, 0 for no part; None if the data set has no parts.
    """

    image: Tensor
    labels: Tensor
    id: str
    parts: Tensor | None = None


class SegmentationDataset(Dataset[Sample]):
    """Images with a class for every pixel. Subclasses implement ``raw`` and ``__len__``.

    A transform takes ``(image, masks)`` and returns the same: the image is a uint8
    ``tv_tensors.Image``, the masks are a dict of ``tv_tensors.Mask`` (``"labels"``, and ``"parts"``
    if there are any). Any pipeline of ``torchvision.transforms.v2`` can be used. Without a
    transform, the image is only scaled to [0, 1].

    Args:
        class_names: Name of each class, in the order of the labels.
        palette: Colour (red, green, blue) of each class, 0-255; None generates distinct ones.
        ignore_index: Label of pixels that never count, outside of ``0 … C-1``.
        transform: Transform that ``dataset[index]`` applies to the raw sample.

    Raises:
        TypeError: If ``class_names`` is no list of names.
        ValueError: If there is no class, two have the same name, the palette has another number of
            colours, or ``ignore_index`` is a class.

    Example:
        >>> import torch
        >>> class Black(SegmentationDataset):
        ...     def __len__(self): return 1
        ...     def raw(self, index):
        ...         image = torch.zeros(3, 2, 2, dtype=torch.uint8)
        ...         return RawSample(image, torch.zeros(2, 2, dtype=torch.int64), id="black")
        >>> sample = Black(["night"])[0]
        >>> sample["image"].shape, sample["labels"].dtype, sample["id"]
        (torch.Size([3, 2, 2]), torch.int64, 'black')
    """

    part_names: tuple[str, ...] = ()
    """Name of every part number, "none" first; empty if the data set has no parts."""
    part_class: tuple[int, ...] = ()
    """Class that every part number belongs to (class 0 for number 0)."""
    group_noun: str = "images"
    """What the groups of :meth:`group` are, in the plural."""

    def __init__(
        self,
        class_names: Sequence[str],
        palette: Sequence[Colour] | None = None,
        *,
        ignore_index: int = 255,
        transform: Transform | None = None,
    ) -> None:
        self.class_names = check_class_names(class_names)
        self.ignore_index = check_ignore_index(ignore_index, self.num_classes)
        self.palette = distinct_palette(self.num_classes)
        if palette is not None:
            self.palette = cast(
                tuple[Colour, ...], palette_of("palette", palette, self.num_classes)
            )
        self.transform = None if transform is None else function("transform", transform)

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    @abstractmethod
    def raw(self, index: int) -> RawSample:
        """Return a sample as it is stored, at its own size, without the transform.

        Args:
            index: Position in the data set.

        Raises:
            IndexError: If the index is outside of the data set.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    def group(self, index: int) -> int | str:
        """Return the group of a sample, such as its video, patient or slide.

        Samples of a group are alike, so intervals are over groups. By default each sample is its
        own group.

        Args:
            index: Position in the data set.

        Raises:
            IndexError: If the index is outside of the data set.
        """
        self.check_index(index)
        return int(index)

    @property
    def redraws(self) -> bool:
        """Whether :meth:`without_parts` is available."""
        return type(self).raw_without_parts is not SegmentationDataset.raw_without_parts

    def raw_without_parts(self, index: int, class_index: int) -> Iterable[RawSample]:
        """Return a sample without one part of one object of a class, for each such part.

        Optional: a data set that can redraw its images without a part, with all else the same,
        implements it, and comparisons measure :func:`~protoxai.metrics.part_intervention` on it.

        Args:
            index: Position in the data set.
            class_index: Class of the objects.

        Raises:
            ValueError: If the data set does not redraw its images.
        """
        del index, class_index
        raise ValueError(f"{self!r} does not redraw its images without a part, as Shapes does")

    def without_parts(self, index: int, class_index: int) -> Iterator[Sample]:
        """Return the samples of :meth:`raw_without_parts` after the transform, one by one."""
        raws = self.raw_without_parts(index, class_index)
        return (self._sample(raw, index) for raw in raws)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample after the transform.

        Raises:
            IndexError: If the index is outside of the data set.
            ValueError: If a label is neither a class nor the ignore index.
        """
        return self._sample(self.raw(index), index)

    def _sample(self, raw: RawSample, index: int) -> Sample:
        """Return a sample after the transform."""
        for name, mask in (("labels", raw.labels), ("parts", raw.parts)):
            if mask is not None and mask.shape != raw.image.shape[-2:]:
                raise ValueError(
                    f"the {name} of {raw.id} have shape {tuple(mask.shape)}, but its image "
                    f"{tuple(raw.image.shape)}: give {name} of the size of the image"
                )
        masks: Masks = {"labels": tv_tensors.Mask(raw.labels)}
        if raw.parts is not None:
            masks["parts"] = tv_tensors.Mask(raw.parts)
        image, masks = (self.transform or _unit_range)(tv_tensors.Image(raw.image), masks)
        # Return plain tensors: the subclass would persist through every operation of the model.
        plain = {name: mask.as_subclass(Tensor) for name, mask in masks.items()}
        check_labels(plain["labels"], self.num_classes, self.ignore_index, source=raw.id)
        sample: Sample = {
            "image": image.as_subclass(Tensor),
            "labels": plain["labels"].long(),
            "index": index,
            "id": raw.id,
        }
        if "parts" in plain:
            sample["parts"] = plain["parts"]
        return sample

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over all samples in order."""
        return (self[index] for index in range(len(self)))

    def with_transform(self, transform: Transform | None) -> Self:
        """Return the same data set, cache included, with another transform.

        Args:
            transform: Transform of each sample.
        """
        other = copy.copy(self)
        other.transform = None if transform is None else function("transform", transform)
        return other

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Encode predicted labels as the image that the data set's benchmark reads.

        The default is an 8-bit image of the class numbers with the data set's palette, in which
        ignored pixels are 255. With more than 255 classes it is a 16-bit grey image, in which they
        are 65535.

        Args:
            labels: Predicted labels (H, W), ``0 … C-1`` or the ignore index, on any device.

        Returns:
            A Pillow image; ``save(folder / dataset.prediction_name(id))`` writes the PNG.

        Raises:
            TypeError: If the labels are not integers.
            ValueError: If there are not two dimensions, or a label is out of range.
        """
        codes = self.checked_prediction(labels)
        if self.num_classes > 255:
            return grey_image(codes.masked_fill(codes == self.ignore_index, 65535), bits=16)
        return indexed_image(codes.masked_fill(codes == self.ignore_index, 255), self.palette)

    def prediction_name(self, sample_id: str) -> str:
        """Return the file name under which the benchmark expects a sample's prediction.

        Args:
            sample_id: Name of the sample.
        """
        return f"{sample_id}.png"

    def __repr__(self) -> str:
        """Return the name, the length and the number of classes."""
        return f"{type(self).__name__}({len(self)} samples, {self.num_classes} classes)"

    def checked_prediction(self, labels: Tensor) -> Tensor:
        """Return predicted labels as int64 on the CPU.

        Args:
            labels: Predicted labels (H, W), ``0 … C-1`` or the ignore index, on any device.

        Raises:
            TypeError: If the labels are not integers.
            ValueError: If there are not two dimensions, or a label is out of range.
        """
        hint = "give the labels of one image"
        labels = tensor("labels", labels, "height width", "integers", hint=hint).cpu()
        check_labels(labels, self.num_classes, self.ignore_index, source="the prediction")
        return labels.long()

    def check_index(self, index: int) -> None:
        """Raise an error unless the data set has a sample of this index.

        Args:
            index: Position in the data set.

        Raises:
            IndexError: If the index is outside of the data set.
        """
        if not 0 <= whole("index", index) < len(self):
            raise IndexError(
                f"there is no sample {index} in {self!r}: the index goes from 0 to {len(self) - 1}"
            )


def _unit_range(image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
    return unit_range(image.as_subclass(Tensor)), masks
