"""Models that PyTorch has wrapped."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

PARALLEL = (DataParallel, DistributedDataParallel, AveragedModel)


def unwrapped(model: Any) -> Any:
    """Return the model inside ``torch.compile``, DataParallel, DDP or an average of weights.

    Args:
        model: Model, wrapped any number of times or not at all; anything else is returned as it is.

    Example:
        >>> import torch
        >>> unwrapped(nn.DataParallel(torch.compile(nn.Identity())))
        Identity()
    """
    while isinstance(model, nn.Module):
        # Importing the class of compiled models takes seconds.
        compiled = vars(model)["_modules"].get("_orig_mod")
        if compiled is None and not isinstance(model, PARALLEL):
            return model
        model = model.module if compiled is None else compiled
    return model
