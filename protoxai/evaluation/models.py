"""Models that can be evaluated."""

from __future__ import annotations

from torch import nn

from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import shown
from protoxai.runtime.wrappers import unwrapped


def check_model(model: Segmenter) -> Segmenter:
    """Return the model itself, without wrappers, or raise ``TypeError`` if it is of another kind.

    Args:
        model: A module with ``num_classes`` and ``logits``, as the models of the library have.
    """
    inner: Segmenter = unwrapped(model)
    known = isinstance(getattr(inner, "num_classes", None), int)
    if not isinstance(inner, nn.Module) or not known or not hasattr(inner, "logits"):
        raise TypeError(
            f"model is {shown(model)} ({type(model).__name__}), expected a ScaleProtoSeg, a "
            "LinearSegmenter, or a module with `num_classes` and `logits(images)`"
        )
    return inner
