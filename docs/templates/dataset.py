"""Template of a data set: images and label maps of the same names, in two folders per split."""

from pathlib import Path

from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register

CLASSES = {"ground": (120, 90, 60), "plant": (60, 160, 60)}
"""Colour of each class, in the order of the labels."""
UNLABELLED = 9
"""Value of unlabelled pixels in the label files."""


@register("my_scans")
class MyScans(PairedDataset):
    """Scans of plants with two classes.

    Args:
        root: Folder with ``<split>/images/*.png`` and ``<split>/labels/*.png``.
        split: Split, ``"train"`` or ``"val"``.
        transform: Transform of each sample, see :class:`~protoxai.data.SegmentationDataset`.

    Raises:
        ValueError: If there is no image.
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: Transform | None = None
    ) -> None:
        self.folder = Path(root).expanduser() / split
        ids = sorted(path.stem for path in self.folder.glob("images/*.png"))
        if not ids:
            raise ValueError(f"there is no image in {self.folder / 'images'}: check root and split")
        super().__init__(ids, tuple(CLASSES), tuple(CLASSES.values()), transform=transform)

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self.folder / "images" / f"{self.ids[index]}.png"

    def label_path(self, index: int) -> Path:
        """Return the path of a sample's label map."""
        return self.folder / "labels" / f"{self.ids[index]}.png"

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert values of the label files to classes and the ignore index."""
        return stored.long().masked_fill(stored == UNLABELLED, self.ignore_index)
