"""Data sets, their transforms and the registry that finds them by name.

Every data set is a :class:`SegmentationDataset`: ``dataset.raw(index)`` is a sample as it is
stored, ``dataset[index]`` the same sample after the transform, with checked labels.
"""

import importlib
import pkgutil

from protoxai.data.ade20k import ADE20K
from protoxai.data.base import RawSample, Sample, SegmentationDataset, Transform
from protoxai.data.camvid import CamVid
from protoxai.data.cityscapes import Cityscapes
from protoxai.data.coco_stuff import COCOStuff
from protoxai.data.collation import Batch, collate
from protoxai.data.em import EM
from protoxai.data.file_tree import LayoutError
from protoxai.data.folder import FolderDataset
from protoxai.data.frequencies import class_frequencies
from protoxai.data.mapped import MappedDataset
from protoxai.data.paired import PairedDataset
from protoxai.data.pascal import SBD, PascalVOC
from protoxai.data.registry import DATASETS, create_dataset, register
from protoxai.data.shapes import ObjectPart, Shapes
from protoxai.data.streamed import StreamedItems
from protoxai.data.transforms import evaluation_transform, training_transform

# A new data set is registered by its file alone, even if it is not listed above.
for _module in pkgutil.walk_packages(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

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
    "MappedDataset",
    "ObjectPart",
    "PairedDataset",
    "PascalVOC",
    "RawSample",
    "Sample",
    "SegmentationDataset",
    "Shapes",
    "StreamedItems",
    "Transform",
    "class_frequencies",
    "collate",
    "create_dataset",
    "evaluation_transform",
    "register",
    "training_transform",
]
