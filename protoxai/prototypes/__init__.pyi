from protoxai.prototypes.layer import MultiScalePrototypeLayer as MultiScalePrototypeLayer
from protoxai.prototypes.layer import PrototypeOutput as PrototypeOutput
from protoxai.prototypes.patches import Patch as Patch
from protoxai.prototypes.projection import Projection as Projection
from protoxai.prototypes.prototype import Prototype as Prototype
from protoxai.prototypes.prototype import Prototypes as Prototypes
from protoxai.prototypes.provenance import Provenance as Provenance
from protoxai.prototypes.table import PrototypeTable as PrototypeTable
