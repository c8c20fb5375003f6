"""Data sets, their transforms and the registry that finds them by name.

Every data set is a ``SegmentationDataset``: ``dataset.raw(index)`` is what lies on the disk (or in
the generator), ``dataset[index]`` the same after the transform, with checked labels.
"""

from protoxai.data.base import RawSample, Sample, SegmentationDataset, Transform
from protoxai.data.camvid import CamVid
from protoxai.data.collation import Batch, collate
from protoxai.data.folder import FolderDataset
from protoxai.data.frequencies import class_frequencies
from protoxai.data.registry import DATASETS, create_dataset, register
from protoxai.data.shapes import Shapes
from protoxai.data.transforms import evaluation_transform, training_transform

__all__ = [
    "DATASETS",
    "Batch",
    "CamVid",
    "FolderDataset",
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
