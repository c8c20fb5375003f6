"""Images: read from files as they are stored, and normalised as a backbone requires."""

from protoxai.images.normalising import check_normalisation, normalise, unit_range
from protoxai.images.reading import (
    FORMATS,
    IMAGE_SUFFIXES,
    Exif,
    StoredImage,
    count_pages,
    open_image,
    read_image,
    read_oriented,
    rgb,
    upright,
)

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "Exif",
    "StoredImage",
    "check_normalisation",
    "count_pages",
    "normalise",
    "open_image",
    "read_image",
    "read_oriented",
    "rgb",
    "unit_range",
    "upright",
]
