"""ISBI 2012: electron microscopy of neural tissue, cells and the membranes between them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from protoxai.data.base import RawSample, SegmentationDataset, Transform
from protoxai.data.file_tree import Entry, Layout, official_split
from protoxai.data.label_images import grey_image, read_labels
from protoxai.data.registry import register
from protoxai.images import count_pages, read_image
from protoxai.runtime.checks import NOT_NEGATIVE, positive, shown, wholes_of
from protoxai.runtime.paths import expanded

SPLITS = {name: name for name in ("train", "val", "test")}
CLASSES = {"membrane": (0, 0, 0), "cell": (255, 255, 255)}
CELL = 255
"""Value of cells in the label files; that of membranes is 0."""


@register("em")
class EM(SegmentationDataset):
    """The stacks of the ISBI 2012 challenge: each slice is a sample, its grey repeated to RGB.

    Source: Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms
    for connectomics", Frontiers in Neuroanatomy 2015. The labels of the test stack are not
    published, so slices of the training stack are the validation split. Slices are neighbours in
    the tissue: a validation slice looks like the training slices beside it.

    Args:
        root: Folder with ``train-volume.tif`` and ``train-labels.tif`` (and
            ``test-volume.tif``).
        split: Split, ``"train"``, ``"val"``, or ``"test"``, in which all labels are 255.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        validation_slices: Slices that are the validation split: their numbers, from 0, or how
            many at the end; None is a fifth of them, which is the last 6 of the 30.

    Raises:
        TypeError: If ``validation_slices`` is neither a whole number nor a list of them.
        ValueError: If the split is unknown, there is no such slice, no slice is left for training
            or validation, the stacks differ in length, or files are missing (the message shows the
            expected tree). On reading, if a file is broken or a label is neither 0 nor 255.

    Example:
        >>> EM("isbi2012", split="val")  # doctest: +SKIP
        EM(6 samples, 2 classes)
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        *,
        validation_slices: int | Sequence[int] | None = None,
    ) -> None:
        self.split = official_split("EM", split, SPLITS)
        stack = "test" if split == "test" else "train"
        self.root = expanded(root)
        self.images = self.root / f"{stack}-volume.tif"
        self.labels = None if split == "test" else self.root / "train-labels.tif"
        files = [path for path in (self.images, self.labels) if path is not None]
        source = "the stacks of the ISBI 2012 EM segmentation challenge (https://imagej.net)"
        entries = tuple(Entry("stack of slices", (path.name,)) for path in files)
        Layout(f"EM (split {split!r})", source, entries).check(self.root)
        self.slices = self._chosen(files, validation_slices)
        super().__init__(tuple(CLASSES), tuple(CLASSES.values()), transform=transform)

    def __len__(self) -> int:
        """Return the number of slices in the split."""
        return len(self.slices)

    def raw(self, index: int) -> RawSample:
        """Return a slice and its labels, read from the stacks."""
        self.check_index(index)
        page = self.slices[index]
        image = read_image(self.images, page)
        labels = torch.full(image.shape[1:], self.ignore_index)
        if self.labels is not None:
            labels = _classes(self.labels, page)
        return RawSample(image, labels, id=f"{self.images.stem}-{page:02d}")

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Encode predicted labels (H, W) as an 8-bit grey image.

        Membranes are 0; cells and ignored pixels are 255.
        """
        return grey_image(self.checked_prediction(labels).ne(0) * CELL)

    def _chosen(
        self, files: list[Path], validation_slices: int | Sequence[int] | None
    ) -> tuple[int, ...]:
        pages = [count_pages(path) for path in files]
        if len(set(pages)) > 1:
            counts = ", ".join(f"{path} {n}" for path, n in zip(files, pages, strict=True))
            raise ValueError(
                f"the stacks have different numbers of slices ({counts}): get them again"
            )
        if self.split == "test":
            return tuple(range(pages[0]))
        held_out = _held_out(pages[0], validation_slices)
        is_validation = self.split == "val"
        return tuple(page for page in range(pages[0]) if (page in held_out) == is_validation)


def _held_out(count: int, validation_slices: int | Sequence[int] | None) -> set[int]:
    """Return the numbers of the validation slices among ``count``."""
    if validation_slices is None:
        validation_slices = max(1, count // 5)
    name = "validation_slices"
    if isinstance(validation_slices, Sequence):
        held_out = set(wholes_of(name, validation_slices, expected=NOT_NEGATIVE))
    else:
        held_out = set(range(count - positive(name, validation_slices), count))
    if not held_out or not held_out < set(range(count)):
        raise ValueError(
            f"{name}={shown(validation_slices)} of {count} slices: give numbers from 0 to "
            f"{count - 1}, or how many at the end, and leave at least one slice for each of the "
            "splits 'train' and 'val'"
        )
    return held_out


def _classes(path: Path, page: int) -> Tensor:
    stored = read_labels(path, page)
    values = stored.unique().tolist()
    if not set(values) <= {0, CELL}:
        raise ValueError(
            f"{path}, slice {page}, has the values {values[:8]}, expected 0 (membrane) and {CELL} "
            "(cell): get the original labels"
        )
    return (stored == CELL).long()
