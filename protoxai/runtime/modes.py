"""Training and evaluation mode."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_lock = threading.Lock()
# How many blocks evaluate a part at present, and whether it was in training mode before the first.
_evaluated: weakref.WeakKeyDictionary[nn.Module, tuple[int, bool]] = weakref.WeakKeyDictionary()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Temporarily switch a module to evaluation mode, and restore the mode of each part.

    Blocks may be nested, and several threads may be in blocks of the same module at once: the last
    one to leave a part restores its mode. The mode belongs to the module, so another thread must
    not train it meanwhile.

    Args:
        module: The module.
    """
    parts = list(module.modules())
    with _lock:
        for part in parts:
            blocks, training = _evaluated.get(part, (0, part.training))
            _evaluated[part] = blocks + 1, training
            # `eval()` would run code of the user's, and once for each block.
            part.training = False
    try:
        yield
    finally:
        with _lock:
            for part in parts:
                blocks, training = _evaluated.pop(part)
                if blocks > 1:
                    _evaluated[part] = blocks - 1, training
                else:
                    part.training = training
