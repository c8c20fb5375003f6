from protoxai.explanations.gallery.contents import ClassContents as ClassContents
from protoxai.explanations.gallery.contents import Composition as Composition
from protoxai.explanations.gallery.galleries import Gallery as Gallery
from protoxai.explanations.gallery.galleries import gallery as gallery
from protoxai.explanations.gallery.neighbours import Neighbour as Neighbour
from protoxai.explanations.gallery.neighbours import Neighbours as Neighbours
from protoxai.explanations.gallery.neighbours import Purity as Purity
