"""What every data set is: raw samples, a transform, checked labels."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NotRequired, Self, TypedDict

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from protoxai.data.label_images import grey_image, indexed_image
from protoxai.data.palette import Colour, distinct_palette
from protoxai.labels import check_ignore_index, check_labels

Masks = dict[str, Tensor]
Transform = Callable[[Tensor, Masks], tuple[Tensor, Masks]]


class Sample(TypedDict):
    """One training or evaluation sample.

    ``image`` is (3, H, W), float32, normalised; ``labels`` (h, w), int64, ``0 … C-1`` or the ignore
    index (its size may differ from the image's in evaluation); ``index`` the position in the data
    set, ``id`` a name that stays when the data set is reordered; ``parts`` (h, w), int64, 0 = no
    part, where the data set has them.
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
        image: (3, H, W), uint8, RGB.
        labels: (H, W), int64.
        id: the sample's lasting name, e.g. the file's stem.
        parts: (H, W), int64, 0 = no part; None where the data set has none.
    """

    image: Tensor
    labels: Tensor
    id: str
    parts: Tensor | None = None


class SegmentationDataset(Dataset[Sample]):
    """Images with a class for every pixel. Subclasses say ``raw`` and ``__len__``.

    A transform takes ``(image, masks)`` and returns the same: the image as uint8
    ``tv_tensors.Image``, the masks a dict of ``tv_tensors.Mask`` (``"labels"``, and ``"parts"``
    where there are any). Every pipeline of ``torchvision.transforms.v2`` fits. Without a transform
    the image is scaled to [0, 1] only.

    Args:
        class_names: one name a class, in the order of the labels.
        palette: one (red, green, blue) a class, 0-255; made up where it is not given.
        ignore_index: the label of pixels that never count; outside of ``0 … C-1``.
        transform: what ``dataset[index]`` applies to the raw sample.

    Raises:
        ValueError: if there is no class, the palette does not fit, or ``ignore_index`` is a class.

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
    """The name of every part number, "none" first; empty where the data set has no parts."""
    part_class: tuple[int, ...] = ()
    """The class every part number belongs to (of number 0: class 0)."""

    def __init__(
        self,
        class_names: Sequence[str],
        palette: Sequence[Colour] | None = None,
        *,
        ignore_index: int = 255,
        transform: Transform | None = None,
    ) -> None:
        if not class_names:
            raise ValueError("class_names is empty: a data set needs one class or more")
        check_ignore_index(ignore_index, len(class_names))
        if palette is not None and len(palette) != len(class_names):
            raise ValueError(
                f"the palette has {len(palette)} colours for {len(class_names)} classes: "
                "give one (red, green, blue) a class, or none for a made-up palette"
            )
        self.class_names = tuple(class_names)
        self.palette = tuple(palette) if palette else distinct_palette(len(class_names))
        self.ignore_index = ignore_index
        self.transform = transform

    @property
    def num_classes(self) -> int:
        """How many classes there are, C."""
        return len(self.class_names)

    @abstractmethod
    def raw(self, index: int) -> RawSample:
        """The sample as it is stored, at its own size, without the transform."""

    @abstractmethod
    def __len__(self) -> int:
        """How many samples there are."""

    def __getitem__(self, index: int) -> Sample:
        """The transformed sample.

        Raises:
            IndexError: if the index is outside of the data set.
            ValueError: if a label is neither a class nor the ignore index.
        """
        raw = self.raw(index)
        masks: Masks = {"labels": tv_tensors.Mask(raw.labels)}
        if raw.parts is not None:
            masks["parts"] = tv_tensors.Mask(raw.parts)
        image, masks = (self.transform or _unit_range)(tv_tensors.Image(raw.image), masks)
        # Plain tensors leave: the subclass would follow them through every operation of the model.
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
        """All samples in order."""
        return (self[index] for index in range(len(self)))

    def with_transform(self, transform: Transform | None) -> Self:
        """The same data set, cache included, seen through another transform."""
        other = copy.copy(self)
        other.transform = transform
        return other

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Predicted labels as the image file that the data set's benchmark reads.

        The default is an 8-bit PNG of the class numbers with the data set's palette, ignored
        pixels 255; with more than 255 classes 16 bits, grey, ignored pixels 65535.

        Args:
            labels: (H, W), classes ``0 … C-1`` or the ignore index, on any device.

        Returns:
            A Pillow image; ``save(folder / dataset.prediction_name(id))`` writes the PNG.

        Raises:
            TypeError: if the labels are not integers.
            ValueError: if there are not two dimensions, or a label is out of range.
        """
        codes = self._checked_prediction(labels)
        if self.num_classes > 255:
            return grey_image(codes.masked_fill(codes == self.ignore_index, 65535), bits=16)
        return indexed_image(codes.masked_fill(codes == self.ignore_index, 255), self.palette)

    def prediction_name(self, sample_id: str) -> str:
        """The file name under which the benchmark expects a sample's prediction."""
        return f"{sample_id}.png"

    def __repr__(self) -> str:
        """The name, the length and the number of classes."""
        return f"{type(self).__name__}({len(self)} samples, {self.num_classes} classes)"

    def _checked_prediction(self, labels: Tensor) -> Tensor:
        if labels.ndim != 2:
            raise ValueError(
                f"a prediction of shape {tuple(labels.shape)}: give the labels of one image, (H, W)"
            )
        labels = labels.cpu()
        check_labels(labels, self.num_classes, self.ignore_index, source="the prediction")
        return labels.long()

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(
                f"sample {index} of {self!r}: the index goes from 0 to {len(self) - 1}"
            )


def _unit_range(image: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
    return image.as_subclass(Tensor).to(torch.float32) / 255, masks
