"""Facts about the data sets of the recipes: numbers and sizes of images, downloads, layouts."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from protoxai.data import cityscapes
from protoxai.data.ade20k.classes import CLASSES as ADE20K_CLASSES
from protoxai.data.camvid import CLASSES as CAMVID_CLASSES
from protoxai.data.coco_stuff.classes import CLASSES as COCO_STUFF_CLASSES
from protoxai.data.em import CLASSES as EM_CLASSES
from protoxai.data.pascal.parts import VOC_CLASSES


@dataclass(frozen=True)
class DataFacts:
    """Facts about a data set.

    Attributes:
        title: Name of the data set.
        num_classes: Number of classes.
        images: Number of images in each split.
        size: Height and width of a typical image.
        layout: Folder of the data, as Markdown that ends a sentence after "in the folder".
        disk: Size of the data, as a sentence.
    """

    title: str
    num_classes: int
    images: MappingProxyType[str, int]
    size: tuple[int, int]
    layout: str
    disk: str


def _images(**counts: int) -> MappingProxyType[str, int]:
    return MappingProxyType(counts)


DATA = {
    "pascal_voc": DataFacts(
        "Pascal VOC 2012",
        len(VOC_CLASSES),
        _images(trainaug=10_582, train=1_464, val=1_449),
        (375, 500),
        "`VOC2012`, with `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation` and, for the "
        "augmented training labels, `SegmentationClassAug` and the list `trainaug.txt`",
        "The official archive has about 2 GB; SBD, from which the augmented labels are made, has "
        "1.4 GB and is not needed beside them.",
    ),
    "cityscapes": DataFacts(
        "Cityscapes",
        len(cityscapes.CLASSES),
        _images(train=2_975, val=500),
        (1024, 2048),
        "that has `leftImg8bit` and `gtFine`",
        "The official archives have 11 GB (`leftImg8bit`) and 0.24 GB (`gtFine`).",
    ),
    "ade20k": DataFacts(
        "ADE20K SceneParse150",
        len(ADE20K_CLASSES),
        _images(train=20_210, val=2_000),
        (512, 683),
        "`ADEChallengeData2016`, with `images/{training,validation}` and "
        "`annotations/{training,validation}`",
        "The official archive has 0.9 GB.",
    ),
    "coco_stuff": DataFacts(
        "COCO-Stuff 164k",
        len(COCO_STUFF_CLASSES),
        _images(train=118_287, val=5_000),
        (480, 640),
        "that has `images/{train2017,val2017}` and `annotations/{train2017,val2017}`",
        "The official archives have 18 GB (`train2017`), 0.8 GB (`val2017`) and 0.66 GB "
        "(`stuffthingmaps_trainval2017`).",
    ),
    "em": DataFacts(
        "ISBI 2012 electron microscopy",
        len(EM_CLASSES),
        _images(train=20, val=10),
        (512, 512),
        "that has `train-volume.tif` and `train-labels.tif`",
        "The two stacks have less than 0.1 GB.",
    ),
    "camvid": DataFacts(
        "CamVid",
        len(CAMVID_CLASSES),
        _images(train=367, val=101),
        (360, 480),
        "that has `train`, `trainannot`, `val` and `valannot` (or `train/images`, `train/labels` "
        "and so on)",
        "The two splits have less than 0.3 GB, the size of their 468 images without compression.",
    ),
    "shapes": DataFacts("Synthetic shapes", 9, _images(train=400, val=400), (128, 128), "", ""),
}
"""Each data set of a recipe, by its name there."""
