"""COCO-Stuff 164k: everyday photographs, every pixel a thing or a kind of stuff."""

from pathlib import Path

from protoxai.data.base import Transform
from protoxai.data.coco_stuff.classes import CLASSES
from protoxai.data.file_tree import Entry, Layout, complete_names, official_split
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register

SPLITS = {
    "train": "train2017",
    "val": "val2017",
    "train2017": "train2017",
    "val2017": "val2017",
}
LABEL_FOLDERS = ("annotations", "stuffthingmaps_trainval2017", "stuffthingmaps")


@register("coco_stuff")
class COCOStuff(PairedDataset):
    """COCO-Stuff 164k with the ids of its label maps as they are: 0-181, and 255 = unlabelled.

    Source: Caesar, Uijlings, Ferrari, "COCO-Stuff: Thing and stuff classes in context", CVPR 2018,
    arXiv 1612.03716. Eleven of the 182 classes (hat, street sign, …) have no label in any image.
    The set brings no colours; the palette is made up.

    Args:
        root: the folder with ``images/{train2017,val2017}`` and the label maps in ``annotations``
            or ``stuffthingmaps_trainval2017``.
        split: ``"train"`` (``"train2017"``) or ``"val"`` (``"val2017"``).
        transform: see ``SegmentationDataset``.

    Raises:
        ValueError: if the split is unknown; with the expected tree if files are missing.

    Example:
        >>> COCOStuff("cocostuff", split="val")  # doctest: +SKIP
        COCOStuff(5000 samples, 182 classes)
    """

    def __init__(
        self, root: str | Path, split: str = "train", transform: Transform | None = None
    ) -> None:
        self.split = official_split("COCOStuff", split, SPLITS)
        self.root = Path(root).expanduser()
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
        # Tools leave label maps of other codings beside the originals, whose names are numbers.
        folders = [(self._images, ".jpg"), (self._labels, ".png")]
        ids = complete_names(name, folders, keep=str.isdigit)
        super().__init__(ids, CLASSES, transform=transform)

    def image_path(self, index: int) -> Path:
        """Where the image of a sample lies."""
        return self._images / f"{self.ids[index]}.jpg"

    def label_path(self, index: int) -> Path:
        """Where the label map of a sample lies."""
        return self._labels / f"{self.ids[index]}.png"
