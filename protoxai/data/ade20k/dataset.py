"""ADE20K as in the scene parsing benchmark: 150 classes of things and surfaces."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from protoxai.data.ade20k.classes import CLASSES, PALETTE
from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, complete_names, locate, official_split
from protoxai.data.label_images import grey_image
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
"""The value in the files of what belongs to none of the classes."""


@register("ade20k")
class ADE20K(PairedDataset):
    """SceneParse150: the files' 1-150 become classes 0-149, their 0 ("other objects") 255.

    Source: Zhou et al., "Scene parsing through ADE20K dataset", CVPR 2017, arXiv 1608.05442. A
    class has the first of its names in the benchmark's ``objectInfo150.txt``.

    Args:
        root: ``ADEChallengeData2016``, or the folder that holds it.
        split: ``"train"`` (``"training"``), ``"val"`` (``"validation"``), or ``"test"``
            (``"testing"``), where all labels are 255.
        transform: see ``SegmentationDataset``.

    Raises:
        ValueError: if the split is unknown; with the expected tree if files are missing.

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
        super().__init__(complete_names(name, folders), CLASSES, PALETTE, transform=transform)

    def image_path(self, index: int) -> Path:
        """Where the image of a sample lies."""
        return self.root / "images" / self.split / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path | None:
        """Where the label map of a sample lies; None in the test split."""
        if self.split == UNLABELLED:
            return None
        return self.root / "annotations" / self.split / f"{self.ids[index]}.png"

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Predicted labels, (H, W), as an 8-bit grey image of 1-150 as in the annotations."""
        codes = self._checked_prediction(labels)
        return grey_image((codes + 1).masked_fill(codes == self.ignore_index, OTHER))

    def _to_classes(self, stored: Tensor) -> Tensor:
        return (stored.long() - 1).masked_fill(stored == OTHER, self.ignore_index)
