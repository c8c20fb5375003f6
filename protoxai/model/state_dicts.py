"""State dicts of models: names of wrapped modules, number formats, what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.runtime.wrapped_names import COMPILED, unwrapped_names

StateDict = dict[str, Any]
# PyTorch's key of a module's extra state; a model's is its structure.
EXTRA_STATE = "_extra_state"
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SHOWN_NAMES = 3


def adopt_names(state: StateDict, prefix: str, own: Iterable[str]) -> None:
    """Rename the tensors of a state dict of wrapped modules as a model names them, in place.

    Args:
        state: State dict, perhaps of more than the model.
        prefix: Prefix of the model's names in it.
        own: Names of the model's tensors, without the prefix.
    """
    by_plain_name = {name.replace(COMPILED, ""): name for name in own}
    given = [name.removeprefix(prefix) for name in state if name.startswith(prefix)]
    known = set(by_plain_name.values())
    for name, plain in unwrapped_names(given).items():
        target = prefix + by_plain_name.get(plain, name)
        if name not in known and target not in state:
            state[target] = state.pop(prefix + name)


def adopt_dtypes(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model the floating-point types of weights, so that loading them loses nothing.

    Args:
        model: Model that is changed in place.
        tensors: Weights by name.
    """
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.dtype in FLOATS}
    if len(dtypes) == 1:
        model.to(dtypes.pop())
    for name, own in chain(model.named_parameters(), model.named_buffers()):
        given = tensors[name].dtype if name in tensors else own.dtype
        if own.dtype in FLOATS and given in FLOATS and given != own.dtype:
            own.data = own.data.to(given)


def find_mismatch(model: nn.Module, tensors: Mapping[str, Tensor]) -> str | None:
    """Return how weights do not fit a model, in one line, or None.

    Args:
        model: Model to load the weights into.
        tensors: Weights by name.
    """
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    own.pop(EXTRA_STATE, None)
    for word, names in (("lacks", own.keys() - tensors), ("has unknown", tensors.keys() - own)):
        if names:
            return f"it {word} {len(names)} tensors: {_few(sorted(names))}"
    for name, value in own.items():
        given = tensors[name]
        if given.shape != value.shape or given.dtype != value.dtype:
            return (
                f"{name} is {given.dtype} of shape {tuple(given.shape)}, expected {value.dtype} of "
                f"shape {tuple(value.shape)}"
            )
    return None


def _few(names: list[str]) -> str:
    more = ", ..." if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more
