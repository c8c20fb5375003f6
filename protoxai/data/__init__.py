"""Data sets, their transforms and the registry that finds them by name.

Every data set is a ``SegmentationDataset``: ``dataset.raw(index)`` is what lies on the disk (or in
the generator), ``dataset[index]`` the same after the transform, with checked labels.
"""

from protoxai.data.ade20k.dataset import ADE20K
from protoxai.data.base import RawSample, Sample, SegmentationDataset, Transform
from protoxai.data.camvid import CamVid
from protoxai.data.cityscapes import Cityscapes
from protoxai.data.coco_stuff.dataset import COCOStuff
from protoxai.data.collation import Batch, collate
from protoxai.data.em import EM
from protoxai.data.file_tree import LayoutError
from protoxai.data.folder import FolderDataset
from protoxai.data.frequencies import class_frequencies
from protoxai.data.pascal.sbd import SBD
from protoxai.data.pascal.voc import PascalVOC
from protoxai.data.registry import DATASETS, create_dataset, register
from protoxai.data.shapes.shapes import Shapes
from protoxai.data.transforms import evaluation_transform, training_transform

__all__ = [
    "ADE20K",
    "DATASETS",
    "EM",
    "SBD",
    "Batch",
    "COCOStuff",
    "CamVid",
    "Cityscapes",
    "FolderDataset",
    "LayoutError",
    "PascalVOC",
    "RawSample",
    "Sample",
    "SegmentationDataset",
    "Shapes",
    "Transform",
    "class_frequencies",
    "collate",
    "create_dataset",
    "evaluation_transform",
    "register",
    "training_transform",
]
