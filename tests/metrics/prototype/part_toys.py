"""Prototypes, parts and activations of a single row of pixels."""

import torch
from torch import Tensor

from protoxai import PrototypeTable

# Two prototypes of class 1, one of class 2; parts 1 and 2 are of class 1, part 3 of class 2.
TABLE = PrototypeTable([1, 1, 2], [0, 0, 0], num_classes=3, num_scales=1)
PART_CLASS = (0, 1, 1, 2)
PARTS = torch.tensor([[[1, 1, 0, 2, 2, 2, 3, 3, 3, 3]]])
LABELS = torch.tensor([[[1, 1, 1, 1, 1, 1, 2, 2, 2, 2]]])


def peaks(*columns: int) -> Tensor:
    """Activations (1, P, 1, 10) that fall from a peak."""
    places = torch.arange(10.0)
    return torch.stack([-(places - column).abs() for column in columns])[None, :, None]
