"""Data sets whose images and label maps are files, one of each a sample."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.files import read_image, read_labels
from protoxai.data.palette import Colour


class PairedDataset(SegmentationDataset):
    """Images and label maps in files. Subclasses say where they lie, and what the values mean.

    Only the names of the samples are kept; files are read when they are asked for.

    Args:
        ids: the samples' lasting names, in order.
        class_names: see ``SegmentationDataset``.
        palette: likewise.
        ignore_index: likewise.
        transform: likewise.
        cache: keep decoded files in memory (each process of a loader keeps its own).

    Raises:
        ValueError: on reading, if a file is broken, or the sizes of image and labels differ.
    """

    def __init__(
        self,
        ids: Sequence[str],
        class_names: Sequence[str],
        palette: Sequence[Colour] | None = None,
        *,
        ignore_index: int = 255,
        transform: Transform | None = None,
        cache: bool = False,
    ) -> None:
        super().__init__(class_names, palette, ignore_index=ignore_index, transform=transform)
        self.ids = ids
        self._cache: dict[int, tuple[Tensor, Tensor | None]] | None = {} if cache else None

    @abstractmethod
    def image_path(self, index: int) -> Path:
        """Where the image of a sample lies."""

    @abstractmethod
    def label_path(self, index: int) -> Path | None:
        """Where the label map of a sample lies; None in a split without labels."""

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.ids)

    def raw(self, index: int) -> RawSample:
        """The decoded files; all labels are the ignore index in a split without labels."""
        self._check_index(index)
        image, stored = self._read(index)
        if stored is None:
            size = (image.shape[1], image.shape[2])
            labels = torch.full(size, self.ignore_index)
        else:
            labels = self._to_classes(stored)
        return RawSample(image, labels, self.ids[index], self._parts_inside(index, labels))

    def _to_classes(self, stored: Tensor) -> Tensor:
        """The labels (int64, a new tensor) that stored values mean."""
        return stored.long()

    def _read_labels(self, path: Path) -> Tensor:
        return read_labels(path)

    def _read_parts(self, index: int, size: tuple[int, int]) -> Tensor:
        """The part of every pixel, int64; only asked for where there are ``part_names``."""
        raise NotImplementedError(f"{type(self).__name__} names parts but reads none")

    def _read(self, index: int) -> tuple[Tensor, Tensor | None]:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        image_path, label_path = self.image_path(index), self.label_path(index)
        image = read_image(image_path)
        labels = None if label_path is None else self._read_labels(label_path)
        if labels is not None and image.shape[1:] != labels.shape:
            raise ValueError(
                f"{image_path} is {image.shape[2]}x{image.shape[1]} pixels, {label_path} "
                f"{labels.shape[1]}x{labels.shape[0]}: a label map has the size of its image"
            )
        if self._cache is not None:
            self._cache[index] = (image, labels)
        return image, labels

    def _parts_inside(self, index: int, labels: Tensor) -> Tensor | None:
        """The parts, where the pixel's label is the part's class; annotators drew both by hand."""
        if not self.part_names:
            return None
        parts = self._read_parts(index, (labels.shape[0], labels.shape[1]))
        outside = torch.tensor(self.part_class)[parts] != labels
        return parts.masked_fill(outside, 0)
