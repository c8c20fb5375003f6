"""ADE20K as in the scene parsing benchmark: 150 classes of things and surfaces."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from protoxai.data.ade20k.classes import CLASSES, PALETTE
from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, complete_names, locate, official_split
from protoxai.data.label_images import check_stored, grey_image
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register

SPLITS = {
    "train": "training",
    "val": "validation",
    "test": "testing",
    "training": "training",
    "validation": "validation",
    "testing": "testing",
}
UNLABELLED = "testing"
OTHER = 0
"""Value of pixels of no class, in the files."""


@register("ade20k")
class ADE20K(PairedDataset):
    """SceneParse150: values 1-150 of the files become classes 0-149, and 0 ("other") becomes 255.

    Source: Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017, arXiv 1608.05442.
    Classes have the first of their names in the benchmark's ``objectInfo150.txt``.

    Args:
        root: Folder ``ADEChallengeData2016``, or the one that contains it.
        split: Split, ``"train"`` (``"training"``), ``"val"`` (``"validation"``), or ``"test"``
            (``"testing"``), in which all labels are 255.
        transform: Transform of each sample, see :class:`SegmentationDataset`.

    Raises:
        ValueError: If the split is unknown, or files are missing; the message shows the expected
            tree.

    Example:
        >>> ADE20K("ADEChallengeData2016", split="val")  # doctest: +SKIP
        ADE20K(2000 samples, 150 classes)
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: Transform | None = None
    ) -> None:
        self.split = official_split("ADE20K", split, SPLITS)
        self.root = locate(root, "ADEChallengeData2016", marker="images")
        name = f"ADE20K (split {split!r})"
        kinds = [("images", ".jpg"), ("annotations", ".png")]
        kinds = kinds[:1] if self.split == UNLABELLED else kinds
        entries = tuple(Entry(folder, (f"{folder}/{self.split}/*{end}",)) for folder, end in kinds)
        source = "ADEChallengeData2016.zip from http://sceneparsing.csail.mit.edu"
        Layout(name, source, entries).check(self.root)
        folders = [(self.root / folder / self.split, end) for folder, end in kinds]
        ids = complete_names(name, folders)
        super().__init__(ids, CLASSES, PALETTE, transform=transform, exif="ignore")

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.root / "images" / self.split / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path | None:
        """Return the path of a sample's label map; None in the test split."""
        if self.split == UNLABELLED:
            return None
        return self.root / "annotations" / self.split / f"{self.ids[index]}.png"

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Encode predicted labels (H, W) as an 8-bit grey image of 1-150, as in the annotations."""
        codes = self.checked_prediction(labels)
        return grey_image((codes + 1).masked_fill(codes == self.ignore_index, OTHER))

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert values 1-150 of the files to classes 0-149, and 0 to the ignore index."""
        # 256 would become the ignore index; other unknown values are found with the labels.
        check_stored(stored, stored <= self.ignore_index, "values of 8 bits")
        return (stored.long() - 1).masked_fill(stored == OTHER, self.ignore_index)
