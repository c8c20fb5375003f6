"""Pascal VOC 2012, with the augmented training labels and Pascal-Part."""

from pathlib import Path

import torch
from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.file_tree import (
    Entry,
    Layout,
    LayoutError,
    locate,
    names_in,
    official_split,
    require_files,
)
from protoxai.data.listing import read_list
from protoxai.data.paired import PairedDataset
from protoxai.data.palette import bit_palette
from protoxai.data.pascal.parts import PART_CLASS, PART_NAMES, VOC_CLASSES, read_pascal_parts
from protoxai.data.registry import register

SPLITS = {name: name for name in ("train", "trainaug", "trainval", "val", "test")}
LISTS = "ImageSets/Segmentation"
OFFICIAL = "SegmentationClass"
AUGMENTED = "SegmentationClassAug"
COMPLETE_LISTS = tuple(
    f"{folder}/{name}.txt"
    for folder in (LISTS, "ImageSets/SegmentationAug")
    for name in ("trainaug", "train_aug")
)
ADDED_LIST = f"{LISTS}/aug.txt"
SOURCE = (
    "VOCtrainval_11-May-2012.tar (for the split 'test' the test archive) from "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/"
)
AUGMENTED_SOURCE = (
    f"{AUGMENTED}.zip and its list trainaug.txt, as the DeepLab code bases share them, beside "
    "VOCtrainval_11-May-2012.tar"
)


@register("pascal_voc")
class PascalVOC(PairedDataset):
    """Pascal VOC 2012 segmentation: background (class 0) and 20 kinds of objects; borders are 255.

    Source: Everingham et al., "The Pascal visual object classes challenge: A retrospective", IJCV
    2015. The split ``"trainaug"`` (10,582 images) adds the labels of SBD (Hariharan et al.,
    "Semantic contours from inverse detectors", ICCV 2011), as PNGs in ``SegmentationClassAug``;
    images that have none there keep their official labels. Its list is ``trainaug.txt`` or
    ``train_aug.txt`` in ``ImageSets/Segmentation`` or ``ImageSets/SegmentationAug``, or an
    ``aug.txt`` with the images that are added to ``train.txt``.

    Parts are those of Pascal-Part (Chen et al., "Detect what you can", CVPR 2014):
    ``Annotations_Part/*.mat`` in ``VOC2012`` or in one of the two folders above it. Numbered parts
    ("wheel_1", "wheel_2") are one part here; a pixel has the part only where its label is the
    part's class. Images that Pascal-Part leaves out have no part anywhere.

    Args:
        root: Folder ``VOC2012`` or ``VOCdevkit``, or the one that contains ``VOCdevkit``.
        split: Split, ``"train"``, ``"trainaug"``, ``"trainval"``, ``"val"``, or ``"test"``, in
            which all labels are 255.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        parts: Whether to read the part labels too.

    Raises:
        ValueError: If the split is unknown, or files are missing; the message shows the expected
            tree.

    Example:
        >>> PascalVOC("VOCdevkit", split="val")  # doctest: +SKIP
        PascalVOC(1449 samples, 21 classes)
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        *,
        parts: bool = False,
    ) -> None:
        self.split = official_split("PascalVOC", split, SPLITS)
        self.root = locate(root, "VOC2012", "VOCdevkit/VOC2012", marker="JPEGImages")
        name = f"PascalVOC (split {split!r})"
        _layout(name, split).check(self.root)
        ids = _augmented_ids(self.root) if split == "trainaug" else self._listed(split)
        require_files(name, self.root / "JPEGImages", (f"{item}.jpg" for item in ids))
        self._augmented: frozenset[str] = frozenset()
        labels = [] if split == "test" else [f"{item}.png" for item in ids]
        if split == "trainaug":
            self._augmented = names_in(self.root / AUGMENTED)
            official = names_in(self.root / OFFICIAL)
            labels = [file for file in labels if file not in official]
        require_files(name, self.root / (AUGMENTED if self._augmented else OFFICIAL), labels)
        palette = bit_palette(len(VOC_CLASSES))
        super().__init__(ids, VOC_CLASSES, palette, transform=transform, exif="ignore")
        if parts:
            self.part_names, self.part_class = PART_NAMES, PART_CLASS
            self._parts_folder = _parts_folder(self.root)

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.root / "JPEGImages" / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path | None:
        """Return the path of a sample's label map; None in the test split."""
        if self.split == "test":
            return None
        file = f"{self.ids[index]}.png"
        return self.root / (AUGMENTED if file in self._augmented else OFFICIAL) / file

    def _listed(self, split: str) -> list[str]:
        return read_list(self.root / LISTS / f"{split}.txt")

    def read_parts(self, index: int, size: tuple[int, int]) -> Tensor:
        """Return the part of every pixel (H, W); 0 for images without an annotation of parts."""
        path = self._parts_folder / f"{self.ids[index]}.mat"
        if not path.is_file():
            return torch.zeros(size, dtype=torch.int64)
        return read_pascal_parts(path, size)


def _layout(name: str, split: str) -> Layout:
    entries = [Entry("images", ("JPEGImages/*.jpg",))]
    if split == "trainaug":
        entries.append(Entry("augmented labels", (f"{AUGMENTED}/*.png",)))
        entries.append(Entry("their list", (*COMPLETE_LISTS, ADDED_LIST)))
        return Layout(name, AUGMENTED_SOURCE, tuple(entries))
    if split != "test":
        entries.append(Entry("labels", (f"{OFFICIAL}/*.png",)))
    entries.append(Entry("the split's list", (f"{LISTS}/{split}.txt",)))
    return Layout(name, SOURCE, tuple(entries))


def _augmented_ids(root: Path) -> list[str]:
    for complete in COMPLETE_LISTS:
        if (root / complete).is_file():
            return read_list(root / complete)
    both = read_list(root / LISTS / "train.txt") + read_list(root / ADDED_LIST)
    return list(dict.fromkeys(both))


def _parts_folder(root: Path) -> Path:
    tried = [folder / "Annotations_Part" for folder in (root, root.parent, root.parent.parent)]
    for folder in tried:
        if next(folder.glob("*.mat"), None) is not None:
            return folder
    raise LayoutError(
        f"parts=True, but there is no .mat file in any of {', '.join(map(str, tried))}. Nothing is "
        "downloaded: get Pascal-Part (trainval.tar.gz) and extract its Annotations_Part there, or "
        "leave parts out"
    )
