"""Loading of a model of either kind."""

from __future__ import annotations

from pathlib import Path

from protoxai import folders
from protoxai.model.linear import LinearSegmenter
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import shown
from protoxai.runtime.files import FileError


def load_model(source: str | Path) -> Segmenter:
    """Load a model of either kind.

    Args:
        source: Folder written by ``save_pretrained``, or a hub id ``owner/name``.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: If the folder is missing or damaged or holds an unknown kind of model, or if the
            model was built with modules of your own: use its class's ``from_pretrained``.
    """
    folder = folders.ModelFolder.open(source)
    kind = folder.config.get("architecture")
    for model in (ScaleProtoSeg, LinearSegmenter):
        if kind == model.__name__:
            return model.from_pretrained(folder.path)
    raise FileError(
        f"{folder.path} ({folders.CONFIG}) holds a {shown(kind)}, expected a ScaleProtoSeg or a "
        "LinearSegmenter: load it with its own class's from_pretrained"
    )
