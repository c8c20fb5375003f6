"""CamVid: road scenes from a driving car."""

from pathlib import Path
from typing import Literal

from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, official_split
from protoxai.data.folder import FolderDataset
from protoxai.data.registry import register
from protoxai.runtime.paths import expanded

CLASSES = {
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Pole": (192, 192, 128),
    "Road": (128, 64, 128),
    "Pavement": (60, 40, 222),
    "Tree": (128, 128, 0),
    "SignSymbol": (192, 128, 128),
    "Fence": (64, 64, 128),
    "Car": (64, 0, 128),
    "Pedestrian": (64, 64, 0),
    "Bicyclist": (0, 128, 192),
}
SOURCE = "CamVid in the 11 classes of SegNet, its images and labels sorted into these folders"


@register("camvid")
class CamVid(FolderDataset):
    """The 11-class CamVid set of 480x360 video frames; 11 in the label files is unlabelled.

    Source: Brostow, Fauqueur, Cipolla, "Semantic object classes in video: A high-definition ground
    truth database", Pattern Recognition Letters 2009; the 11 classes of SegNet, arXiv 1511.00561.

    Args:
        root: Folder with ``train/images/*.jpg``, ``train/labels/*.png``, and the same under
            ``val``.
        split: Split, ``"train"`` or ``"val"``.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        cache: Whether to keep decoded files in memory (0.3 GB for both splits).

    Raises:
        ValueError: If the split is unknown, or the folder is not as described.

    Example:
        >>> CamVid("camvid", split="val")  # doctest: +SKIP
        CamVid(101 samples, 11 classes)
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "val"] = "train",
        transform: Transform | None = None,
        cache: bool = True,
    ) -> None:
        official_split("CamVid", split, {"train": "train", "val": "val"})
        entries = (
            Entry("images", (f"{split}/images/*",)),
            Entry("label maps", (f"{split}/labels/*.png",)),
        )
        Layout(f"CamVid (split {split!r})", SOURCE, entries).check(expanded(root))
        super().__init__(
            root,
            split,
            class_names=tuple(CLASSES),
            palette=tuple(CLASSES.values()),
            void=11,
            transform=transform,
            cache=cache,
            exif="ignore",
        )
