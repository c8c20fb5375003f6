from protoxai.explanations.figures import prototype_figure as prototype_figure
from protoxai.explanations.gallery.galleries import gallery as gallery
from protoxai.explanations.local import explain as explain
from protoxai.explanations.report import report as report
from protoxai.heads.groups import SparseGroupHead as SparseGroupHead
from protoxai.heads.linear import PrototypeHead as PrototypeHead
from protoxai.heads.simplex import project_to_simplex as project_to_simplex
from protoxai.model.linear import LinearSegmenter as LinearSegmenter
from protoxai.model.scaleprotoseg import ScaleProtoSeg as ScaleProtoSeg
from protoxai.projection.project import project_prototypes as project_prototypes
from protoxai.projection.prune import prune_prototypes as prune_prototypes
from protoxai.projection.refit import refit_last_layer as refit_last_layer
from protoxai.projection.search import PrototypeSearch as PrototypeSearch
from protoxai.prototypes.layer import MultiScalePrototypeLayer as MultiScalePrototypeLayer
from protoxai.prototypes.table import PrototypeTable as PrototypeTable
from protoxai.scales import AtrousScales as AtrousScales
from protoxai.scales import PyramidScales as PyramidScales

__version__: str
