"""COCO-Stuff 164k: everyday photographs, every pixel a thing or a kind of stuff."""

from pathlib import Path

from protoxai.data.base import Transform
from protoxai.data.coco_stuff.classes import CLASSES
from protoxai.data.file_tree import Entry, Layout, complete_names, official_split
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register
from protoxai.runtime.paths import expanded

SPLITS = {
    "train": "train2017",
    "val": "val2017",
    "train2017": "train2017",
    "val2017": "val2017",
}
LABEL_FOLDERS = ("annotations", "stuffthingmaps_trainval2017", "stuffthingmaps")


@register("coco_stuff")
class COCOStuff(PairedDataset):
    """COCO-Stuff 164k with the ids of its label maps: 0-181, and 255 for unlabelled pixels.

    Source: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and stuff classes in context", CVPR 2018,
    arXiv 1612.03716. Eleven of the 182 classes (hat, street sign, …) have no label in any image.
    The data set has no official colours; the palette is generated.

    Args:
        root: Folder with ``images/{train2017,val2017}`` and the label maps in ``annotations`` or
            ``stuffthingmaps_trainval2017``.
        split: Split, ``"train"`` (``"train2017"``) or ``"val"`` (``"val2017"``).
        transform: Transform of each sample, see :class:`SegmentationDataset`.

    Raises:
        ValueError: If the split is unknown, or files are missing; the message shows the expected
            tree.

    Example:
        >>> COCOStuff("cocostuff", split="val")  # doctest: +SKIP
        COCOStuff(5000 samples, 182 classes)
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: Transform | None = None
    ) -> None:
        self.split = official_split("COCOStuff", split, SPLITS)
        self.root = expanded(root)
        name = f"COCOStuff (split {split!r})"
        label_maps = tuple(f"{folder}/{self.split}/*.png" for folder in LABEL_FOLDERS)
        entries = (
            Entry("images", (f"images/{self.split}/*.jpg",)),
            Entry("label maps", label_maps),
        )
        source = (
            f"{self.split}.zip from http://images.cocodataset.org/zips and "
            "stuffthingmaps_trainval2017.zip from https://github.com/nightrome/cocostuff"
        )
        Layout(name, source, entries).check(self.root)
        self._images = self.root / "images" / self.split
        self._labels = next(file.parent for maps in label_maps for file in self.root.glob(maps))
        # Some tools write recoded label maps beside the originals, whose names are numbers.
        folders = [(self._images, ".jpg"), (self._labels, ".png")]
        ids = complete_names(name, folders, keep=str.isdigit)
        super().__init__(ids, CLASSES, transform=transform, exif="ignore")

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self._images / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path:
        """Return the path of a sample's label map."""
        return self._labels / f"{self.ids[index]}.png"
