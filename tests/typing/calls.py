"""Calls as a type checker sees them: `make check` fails where it accepts what it should refuse.

Nothing runs this file. An error that is ignored here but does not occur is itself an error.
"""

from protoxai import LinearSegmenter, ScaleProtoSeg


def calls() -> None:
    """Nothing calls this function."""
    ScaleProtoSeg("timm/resnet50", 21, output_stride=16, prototypes_per_scale=2)
    LinearSegmenter("timm/resnet50", 21, output_stride=16)
    ScaleProtoSeg("timm/resnet50", 21, output_strid=16)  # type: ignore[call-arg]
    ScaleProtoSeg("timm/resnet50", 21, output_stride="16")  # type: ignore[arg-type]
    LinearSegmenter("timm/resnet50", 21, prototype_dim=16)  # type: ignore[call-arg]
