from protoxai.projection.project import project_prototypes as project_prototypes
from protoxai.projection.search import PrototypeSearch as PrototypeSearch
