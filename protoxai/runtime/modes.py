"""Training and evaluation mode."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Temporarily switch a module to evaluation mode, and restore the mode of each part.

    Args:
        module: The module.
    """
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        # `train()` on a part would also set its children, which may be frozen on purpose.
        for part in training:
            part.training = True
