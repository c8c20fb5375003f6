"""Cityscapes: street scenes of fifty cities."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from protoxai.data.base import Transform
from protoxai.data.file_tree import Entry, Layout, complete_names, official_split
from protoxai.data.label_images import check_stored, grey_image, read_labels
from protoxai.data.paired import PairedDataset
from protoxai.data.registry import register
from protoxai.runtime.paths import expanded

CLASSES = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
"""Id in the label files and colour of each class, in the order of the 19 train ids."""

_BODY = ("torso", "head", "arm", "leg")
_VEHICLE = ("window", "wheel", "light", "license plate", "chassis")
PARTS = {"person": _BODY, "rider": _BODY, "car": _VEHICLE, "truck": _VEHICLE, "bus": _VEHICLE}
_NAMED_PARTS = [(name, part) for name, parts in PARTS.items() for part in parts]

SPLITS = {name: name for name in ("train", "val", "test")}
VOID = 255
LARGEST_UID = 9_999_999

_IMAGES = ("leftImg8bit", "_leftImg8bit.png")
_LABELS = ("gtFine", "_gtFine_labelIds.png")
_PARTS = ("gtFinePanopticParts", "_gtFinePanopticParts.tif")

_LABEL_IDS = torch.tensor([label_id for label_id, _ in CLASSES.values()])
_TRAIN_IDS = torch.full((VOID + 1,), VOID).scatter(0, _LABEL_IDS, torch.arange(len(CLASSES)))


@register("cityscapes")
class Cityscapes(PairedDataset):
    """Cityscapes with the 19 classes of its benchmark; every other id in the files becomes 255.

    Source: Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR
    2016, arXiv 1604.01685. The fine annotations are read from the official
    ``*_gtFine_labelIds.png`` without preparation. Predictions are written with the same ids.

    Parts are those of Cityscapes Panoptic Parts (de Geus et al., CVPR 2021, arXiv 2106.06351):
    ``gtFinePanopticParts/{split}/{city}/*_gtFinePanopticParts.tif``, 23 parts of five classes.

    Args:
        root: Folder with ``leftImg8bit`` and ``gtFine``.
        split: Split, ``"train"``, ``"val"``, or ``"test"``, in which all labels are 255.
        transform: Transform of each sample, see :class:`SegmentationDataset`.
        parts: Whether to read the part labels too (not in ``"test"``).

    Raises:
        ValueError: If the split is unknown or has no parts, or files are missing; the message shows
            the expected tree.

    Example:
        >>> Cityscapes("cityscapes", split="val")  # doctest: +SKIP
        Cityscapes(500 samples, 19 classes)
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Transform | None = None,
        *,
        parts: bool = False,
    ) -> None:
        self.split = official_split("Cityscapes", split, SPLITS)
        if parts and split == "test":
            raise ValueError("parts=True: the split 'test' of Cityscapes has no part labels")
        self.root = expanded(root)
        kinds = [_IMAGES] if split == "test" else [_IMAGES, _LABELS]
        kinds += [_PARTS] if parts else []
        name = f"Cityscapes (split {split!r})"
        entries = tuple(Entry(folder, (f"{folder}/{split}/*/*{end}",)) for folder, end in kinds)
        source = (
            "leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip (and for parts "
            "gtFinePanopticParts_trainval.zip) from https://www.cityscapes-dataset.com"
        )
        Layout(name, source, entries).check(self.root)
        folders = [(self.root / folder / split, end) for folder, end in kinds]
        self._files = complete_names(name, folders, nested=True)
        ids = [file.rpartition("/")[2] for file in self._files]
        palette = [colour for _, colour in CLASSES.values()]
        super().__init__(
            ids,
            tuple(CLASSES),
            palette,
            ignore_index=VOID,
            transform=transform,
            exif="ignore",
        )
        if parts:
            self.part_names = ("none", *(f"{name} {part}" for name, part in _NAMED_PARTS))
            self.part_class = (0, *(self.class_names.index(name) for name, _ in _NAMED_PARTS))

    def image_path(self, index: int) -> Path:
        """Return the path of a sample's image."""
        return self._path(_IMAGES, index)

    def label_path(self, index: int) -> Path | None:
        """Return the path of a sample's label map; None in the test split."""
        return None if self.split == "test" else self._path(_LABELS, index)

    def to_label_ids(self, prediction: Tensor) -> Tensor:
        """Convert classes 0-18 to the ids of the label files (7-33), for the benchmark's server.

        Args:
            prediction: Integers of any shape; 255 becomes 0, "unlabeled".

        Returns:
            Integers of the same shape, int64, on the CPU.
        """
        prediction = prediction.cpu().long()
        void = prediction == VOID
        return _LABEL_IDS[prediction.masked_fill(void, 0)].masked_fill(void, 0)

    def encode_prediction(self, labels: Tensor) -> Image.Image:
        """Encode predicted labels (H, W) as an 8-bit grey image of label ids, for the server."""
        return grey_image(self.to_label_ids(self.checked_prediction(labels)))

    def to_classes(self, stored: Tensor) -> Tensor:
        """Convert ids of the files to classes 0-18; ids of no class become 255."""
        ids = stored.long()
        check_stored(ids, (ids >= 0) & (ids <= VOID), "ids of 8 bits")
        return _TRAIN_IDS[ids]

    def read_parts(self, index: int, size: tuple[int, int]) -> Tensor:
        """Return the part of every pixel (H, W), a number of ``part_names``."""
        path = self._path(_PARTS, index)
        uids = read_labels(path).long()
        if tuple(uids.shape) != size or not 0 <= int(uids.min()) <= int(uids.max()) <= LARGEST_UID:
            raise ValueError(
                f"{path} has {tuple(uids.shape)} pixels and values up to {int(uids.max())}, "
                f"expected {size} pixels and at most 7 digits (class, instance, part): replace "
                "the file"
            )
        return _PART_NUMBERS[uids // 100_000, uids % 100]

    def _path(self, kind: tuple[str, str], index: int) -> Path:
        folder, end = kind
        return self.root / folder / self.split / f"{self._files[index]}{end}"


def _part_numbers() -> Tensor:
    """Return the part number of every label id and part id (100, 100); 0 if there is none."""
    numbers = torch.zeros((100, 100), dtype=torch.int64)
    for number, (name, part) in enumerate(_NAMED_PARTS, 1):
        numbers[CLASSES[name][0], PARTS[name].index(part) + 1] = number
    return numbers


_PART_NUMBERS = _part_numbers()
