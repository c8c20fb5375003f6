"""Reading a model of either kind."""

from __future__ import annotations

from pathlib import Path

from protoxai import folders
from protoxai.model.linear import LinearSegmenter
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter


def load_model(source: str | Path) -> Segmenter:
    """Read a model of either kind from a folder or a hub id.

    Raises:
        ValueError: if the folder is missing, damaged or of an unknown kind of model.
    """
    files, _ = folders.read_folder(source)
    kind = files[folders.CONFIG].get("architecture")
    for model in (ScaleProtoSeg, LinearSegmenter):
        if kind == model.__name__:
            return model.from_pretrained(source)
    raise ValueError(f"{source} holds a {kind}, expected a ScaleProtoSeg or a LinearSegmenter")
