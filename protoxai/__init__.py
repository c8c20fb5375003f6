"""protoxai: segmentation models whose every pixel decision can be read.

A small, sparse group of prototypes decides each pixel; every prototype is a real patch of a
training image, at one scale. Heavy libraries load when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from protoxai.explanations import explain
    from protoxai.heads import PrototypeHead, SparseGroupHead, project_to_simplex
    from protoxai.model import LinearSegmenter, ScaleProtoSeg
    from protoxai.projection import project_prototypes
    from protoxai.prototypes import MultiScalePrototypeLayer
    from protoxai.scales import AtrousScales, PyramidScales
    from protoxai.search import PrototypeSearch
    from protoxai.table import PrototypeTable

__version__ = "0.1.0"

_HOME = {
    "AtrousScales": "scales",
    "LinearSegmenter": "model",
    "MultiScalePrototypeLayer": "prototypes",
    "PrototypeHead": "heads",
    "PrototypeSearch": "search",
    "PrototypeTable": "table",
    "PyramidScales": "scales",
    "ScaleProtoSeg": "model",
    "SparseGroupHead": "heads",
    "explain": "explanations",
    "project_prototypes": "projection",
    "project_to_simplex": "heads",
}

__all__ = [
    "AtrousScales",
    "LinearSegmenter",
    "MultiScalePrototypeLayer",
    "PrototypeHead",
    "PrototypeSearch",
    "PrototypeTable",
    "PyramidScales",
    "ScaleProtoSeg",
    "SparseGroupHead",
    "explain",
    "project_prototypes",
    "project_to_simplex",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'protoxai' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"protoxai.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
