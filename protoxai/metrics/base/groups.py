"""Groups of rows that belong together, such as the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from protoxai.runtime.checks import shown
from protoxai.runtime.tensors import tensor

GroupOf = Callable[[int], Hashable]
"""Function from the index of an image to its group: a video, a patient, a whole slide."""
Groups = Sequence[Hashable] | Tensor | None
"""Group of each row; None if each row is its own."""


def groups_by_index(indices: Tensor, group_of: GroupOf) -> list[Hashable]:
    """Return the group of each image.

    Args:
        indices: Data set indices (n,).
        group_of: Function from an index to a group.
    """
    return [group_of(index) for index in indices.tolist()]


def numbered_groups(groups: Groups, rows: int) -> Tensor:
    """Return the number of each row's group, int64 (rows,), counted from 0 in order of appearance.

    Args:
        groups: Group of each row; None if each row is its own.
        rows: Number of rows.

    Raises:
        TypeError: If the groups are not a list or a tensor of whole numbers.
        ValueError: If there are not as many groups as rows.

    Example:
        >>> numbered_groups(["night", "day", "night"], 3)
        tensor([0, 1, 0])
    """
    if groups is None:
        return torch.arange(rows)
    if isinstance(groups, Tensor):
        groups = tensor("groups", groups, "rows", "integers").tolist()
    if isinstance(groups, str) or not isinstance(groups, Sequence):
        raise TypeError(f"groups are {shown(groups)}, expected a list with the group of each row")
    if len(groups) != rows:
        raise ValueError(f"got {len(groups)} groups for {rows} rows, expected one for each")
    if not all(isinstance(group, Hashable) for group in groups):
        raise TypeError(f"groups are {shown(groups)}, expected names or numbers of groups")
    numbers: dict[Hashable, int] = {}
    return torch.tensor(
        [numbers.setdefault(group, len(numbers)) for group in groups], dtype=torch.long
    )


def sums_by_group(rows: Tensor, numbers: Tensor) -> Tensor:
    """Return the sum of the rows of each group, (g, ...).

    Args:
        rows: Values (n, ...).
        numbers: Number of each row's group, from :func:`numbered_groups`, (n,).

    Example:
        >>> sums_by_group(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0]))
        tensor([5., 2.])
    """
    count = int(numbers.max()) + 1 if len(numbers) else 0
    sums = rows.new_zeros(count, *rows.shape[1:])
    return sums.index_add(0, numbers.to(rows.device), rows)
