"""Data sets whose samples have an image file and a label file each."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.label_images import read_labels
from protoxai.images import Exif, read_oriented, upright
from protoxai.runtime.checks import shown
from protoxai.runtime.palette import Colour


class PairedDataset(SegmentationDataset):
    """Images and label maps in files. Subclasses give their paths and the meaning of the values.

    Only the names of the samples are kept in memory; files are read when a sample is requested.

    Args:
        ids: Name of each sample, in order.
        class_names: Name of each class, in the order of the labels.
        palette: Colour (red, green, blue) of each class, 0-255; None generates distinct ones.
        ignore_index: Label of pixels that never count, outside of ``0 … C-1``.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        cache: Whether to keep decoded files in memory, in each process of a loader.
        exif: What to do with the orientation that a camera notes beside the pixels: ``"apply"`` it,
            as viewers do, or ``"ignore"`` it, as the official data sets do. None applies it if the
            label map, by its size, can only belong to the upright image, and is an error otherwise.

    Raises:
        ValueError: If ``exif`` is unknown. On reading, if a file is broken, the sizes of image and
            labels differ, or the orientation is not clear.
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
        exif: Exif | None = None,
    ) -> None:
        super().__init__(class_names, palette, ignore_index=ignore_index, transform=transform)
        if exif not in ("apply", "ignore", None):
            raise ValueError(f"exif is {shown(exif)}, expected 'apply', 'ignore' or None")
        self.exif = exif
        self.ids = ids
        self._cache: dict[int, tuple[Tensor, Tensor | None]] | None = {} if cache else None

    @abstractmethod
    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image.

        Args:
            index: Position in the data set.
        """

    @abstractmethod
    def label_path(self, index: int) -> Path | None:
        """Return the path of a sample's label map; None in a split without labels.

        Args:
            index: Position in the data set.
        """

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.ids)

    def raw(self, index: int) -> RawSample:
        """Return the decoded files; in a split without labels, all are the ignore index."""
        self.check_index(index)
        image, stored = self._read(index)
        if stored is None:
            size = (image.shape[1], image.shape[2])
            labels = torch.full(size, self.ignore_index)
        else:
            labels = self._classes(stored, index)
        return RawSample(image, labels, self.ids[index], self._parts_inside(index, labels))

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert stored values to labels; the default takes them as they are.

        Args:
            stored: Values (H, W) of a label file, uint8 or int32.

        Returns:
            Labels (H, W), int64, in a new tensor.
        """
        return stored.long()

    def read_label_map(self, path: Path) -> Tensor:
        """Read the stored values of a label file; the default reads images.

        Args:
            path: Path of the file, from :meth:`label_path`.

        Returns:
            Stored values (H, W), integers.
        """
        return read_labels(path, exif=self.exif)

    def read_parts(self, index: int, size: tuple[int, int]) -> Tensor:
        """Return the part of every pixel; only called if there are ``part_names``.

        Args:
            index: Position in the data set.
            size: Height and width of the image.

        Returns:
            Parts (H, W), int64, 0 for no part.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has part names but does not implement read_parts"
        )

    def _read(self, index: int) -> tuple[Tensor, Tensor | None]:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        image_path, label_path = self.image_path(index), self.label_path(index)
        image, orientation = read_oriented(image_path)
        labels = None if label_path is None else self.read_label_map(label_path)
        if orientation != 1 and self.exif != "ignore":
            image = self._turned(image, orientation, image_path, labels)
        if labels is not None and image.shape[1:] != labels.shape:
            raise ValueError(
                f"{image_path} is {image.shape[2]}x{image.shape[1]} pixels, {label_path} "
                f"{labels.shape[1]}x{labels.shape[0]}: give label maps of the size of their images"
            )
        if self._cache is not None:
            self._cache[index] = (image, labels)
        return image, labels

    def _turned(self, image: Tensor, orientation: int, path: Path, labels: Tensor | None) -> Tensor:
        turned = upright(image, orientation)
        if labels is None or self.exif == "apply" or image.shape[1:] != labels.shape:
            return turned
        if turned.shape == image.shape:
            raise ValueError(
                f"{path} has the EXIF orientation {orientation}, and its label map fits the image "
                "with and without it: give exif='apply' if the labels are drawn on the upright "
                "image, as viewers show it, or exif='ignore' if on the stored pixels"
            )
        raise ValueError(
            f"{path} has the EXIF orientation {orientation}, but its label map fits the stored "
            "pixels only: give exif='ignore' if the labels are drawn on them, or save both upright"
        )

    def _classes(self, stored: Tensor, index: int) -> Tensor:
        try:
            return self.to_classes(stored)
        except ValueError as error:
            raise ValueError(f"{self.label_path(index)}: {error}") from error

    def _parts_inside(self, index: int, labels: Tensor) -> Tensor | None:
        """Return the parts of the pixels whose label is the part's class.

        Parts and labels are drawn by hand, so their borders differ.
        """
        if not self.part_names:
            return None
        parts = self.read_parts(index, (labels.shape[0], labels.shape[1]))
        outside = torch.tensor(self.part_class)[parts] != labels
        return parts.masked_fill(outside, 0)
