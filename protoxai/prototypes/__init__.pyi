from protoxai.prototypes.layer import MultiScalePrototypeLayer as MultiScalePrototypeLayer
from protoxai.prototypes.layer import PrototypeOutput as PrototypeOutput
from protoxai.prototypes.provenance import Provenance as Provenance
from protoxai.prototypes.table import PrototypeTable as PrototypeTable
