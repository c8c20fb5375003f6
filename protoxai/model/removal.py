"""The prototypes that remain when some are removed: every class keeps one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.runtime.checks import Range, wholes_of


def remaining_prototypes(
    head: PrototypeHead | SparseGroupHead,
    removed: Tensor | Sequence[int],
    class_names: Sequence[str] | None = None,
) -> Tensor:
    """Return the prototypes that remain, after checking that no class loses its last one.

    Args:
        head: Head of the model.
        removed: Indices of the prototypes to remove.
        class_names: Names of the classes, for the error; None for their numbers.

    Returns:
        Indices of the other prototypes, ascending, int64.

    Raises:
        TypeError: If the indices are not a list of whole numbers.
        ValueError: If there is no index, one is out of range or given twice, or a class would lose
            its last prototype, or in stage 2 the last one that its groups use.
    """
    table = head.table
    indices = wholes_of("prototypes", removed, expected=Range(least=0, most=len(table) - 1))
    if len(set(indices)) < len(indices):
        twice = next(index for index in indices if indices.count(index) > 1)
        raise ValueError(f"prototypes hold {twice} twice: give each index once")
    kept = torch.ones(len(table), dtype=torch.bool)
    kept[list(indices)] = False
    _check_classes(table.class_index, torch.ones_like(kept), kept, indices, class_names, "")
    if isinstance(head, SparseGroupHead):
        used = (head.group_weights().detach() != 0).any(0).cpu()
        _check_classes(table.class_index, used, kept, indices, class_names, " that its groups use")
    return kept.nonzero().flatten()


def _check_classes(
    class_index: Tensor,
    present: Tensor,
    kept: Tensor,
    removed: Sequence[int],
    class_names: Sequence[str] | None,
    kind: str,
) -> None:
    """Raise ``ValueError`` if a class has present prototypes, but none of them is kept."""
    lost = set(class_index[present].tolist()) - set(class_index[present & kept].tolist())
    if lost:
        first = min(lost)
        name = str(first) if class_names is None else class_names[first]
        own = [index for index in removed if class_index[index] == first and present[index]]
        raise ValueError(
            f"without the prototypes {', '.join(map(str, own))}, class {name} would lose its last "
            f"prototype{kind}: keep one of them, or train the model again"
        )
