from protoxai.heads.groups import SparseGroupHead as SparseGroupHead
from protoxai.heads.linear import PrototypeHead as PrototypeHead
from protoxai.heads.simplex import project_to_simplex as project_to_simplex
