"""What every backbone must do, whatever it is made of."""

import torch
from torch import Tensor

from protoxai.backbones import Backbone


def assert_keeps_contract(backbone: Backbone, size: tuple[int, int]) -> list[Tensor]:
    """Maps of one image; their channels, grids and order are as the backbone says."""
    with torch.no_grad():
        maps = backbone.eval()(torch.randn(1, 3, *size))
    assert tuple(features.shape[1] for features in maps) == backbone.channels
    grids = [tuple(features.shape[2:]) for features in maps]
    assert grids == [(size[0] // r, size[1] // r) for r in backbone.reductions]
    assert list(backbone.reductions) == sorted(backbone.reductions)
    assert all(features.isfinite().all() for features in maps)
    assert len(backbone.mean) == len(backbone.std) == 3
    return maps
