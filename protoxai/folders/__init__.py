"""Model folders: weights as safetensors, all else as JSON and pictures; loading runs no code."""

from protoxai.folders.layout import (
    CONFIG,
    FORMAT,
    PALETTE,
    PROTOTYPES,
    PROVENANCE,
    WEIGHTS,
    picture_name,
)
from protoxai.folders.reading import (
    DamagedFileError,
    ModelFolder,
    damaged_in,
    read_folder,
)
from protoxai.folders.writing import write_folder

__all__ = [
    "CONFIG",
    "FORMAT",
    "PALETTE",
    "PROTOTYPES",
    "PROVENANCE",
    "WEIGHTS",
    "DamagedFileError",
    "ModelFolder",
    "damaged_in",
    "picture_name",
    "read_folder",
    "write_folder",
]
