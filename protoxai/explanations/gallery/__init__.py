"""The gallery of a model's prototypes."""

from protoxai.explanations.gallery.contents import ClassContents, Composition
from protoxai.explanations.gallery.gallery import Gallery, gallery
from protoxai.explanations.gallery.neighbours import Neighbour, Neighbours, Purity

__all__ = [
    "ClassContents",
    "Composition",
    "Gallery",
    "Neighbour",
    "Neighbours",
    "Purity",
    "gallery",
]
