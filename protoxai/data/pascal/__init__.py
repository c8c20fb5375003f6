"""Pascal VOC 2012, the additional annotations of SBD, and Pascal-Part."""

from protoxai.data.pascal.sbd import SBD
from protoxai.data.pascal.voc import PascalVOC

__all__ = ["SBD", "PascalVOC"]
