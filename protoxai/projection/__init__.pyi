from protoxai.projection.kmeans import initialise_prototypes as initialise_prototypes
from protoxai.projection.project import project_prototypes as project_prototypes
from protoxai.projection.prune import PruningRecord as PruningRecord
from protoxai.projection.prune import prune_prototypes as prune_prototypes
from protoxai.projection.search import ProjectionRecord as ProjectionRecord
from protoxai.projection.search import PrototypeSearch as PrototypeSearch
