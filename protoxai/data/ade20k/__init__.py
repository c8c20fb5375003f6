"""ADE20K as in the scene parsing benchmark: 150 classes of things and surfaces."""

from protoxai.data.ade20k.dataset import ADE20K

__all__ = ["ADE20K"]
