"""Names of tensors in modules that PyTorch has wrapped."""

from __future__ import annotations

from collections.abc import Iterable

COMPILED = "_orig_mod."
PARALLEL = "module."


def unwrapped_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name that each tensor has outside of ``torch.compile``, DataParallel and DDP.

    Args:
        names: Names in a state dict; "module." is removed if all of them begin with it.

    Example:
        >>> unwrapped_names(["module._orig_mod.weight", "module._orig_mod.bias"])
        {'module._orig_mod.weight': 'weight', 'module._orig_mod.bias': 'bias'}
    """
    plain = {name: name.replace(COMPILED, "") for name in names}
    while plain and all(name.startswith(PARALLEL) for name in plain.values()):
        plain = {name: inner.removeprefix(PARALLEL) for name, inner in plain.items()}
    return plain
