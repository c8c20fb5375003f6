"""Stage 2: sparse groups of a class's own prototypes, then a linear layer over their scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoxai import kernels
from protoxai.heads.constrained import SUM_TOLERANCE, ConstrainedHead
from protoxai.heads.linear import LastLayer, check_class, check_maps
from protoxai.prototypes.prototype import GroupWeights
from protoxai.prototypes.table import PrototypeTable
from protoxai.runtime.checks import Range, number, positive
from protoxai.runtime.precision import widen, without_autocast
from protoxai.runtime.tensors import tensor


class SparseGroupHead(ConstrainedHead):
    """A few sparse groups of each class's own prototypes, then a linear map of their scores.

    Group n of class c has weights ``w`` on the simplex over the class's prototypes of all scales;
    its score is ``h_n = exp(w . g_c)``; logits are ``V h`` without bias. Classes without prototypes
    have no groups. Source: Porta et al., WACV 2025 (arXiv 2409.09497), section 3.

    A step of any ``torch.optim`` optimizer ends with the weights that it has changed projected onto
    the simplex. Weights that were set, thresholded or loaded stay as given until then: at least 0,
    with a sum of at most 1. After an update by hand, call :meth:`project_to_simplex_`; weights that
    are negative or sum to more than 1 are projected in any case before they are used or saved.

    Args:
        table: Class and scale of each of the P prototypes.
        num_groups: Number of groups G of each class.
        off_class: Initial weight of a group for other classes than its own.
        last_layer: "dense" (as in the paper) or, for many classes, "tied": two weights per group,
            one for its own class and one for all others.

    Attributes:
        group_table: Table of the groups, all at one scale, for the losses.
        group_parameter: Group weights, padded to (classes with prototypes, G, M), where M is the
            largest number of prototypes of a class. Read them with :meth:`group_weights`.
        weight: Parameter (C, N) of the last layer, or (2, N) if tied; N = G x (classes with
            prototypes), class-major.

    Example:
        >>> import torch
        >>> head = SparseGroupHead(PrototypeTable.regular(3, 2, 4), num_groups=2)
        >>> head.scores(torch.rand(1, 24, 5, 6)).shape, head.group_weights().shape
        (torch.Size([1, 6, 5, 6]), torch.Size([6, 24]))
    """

    unit_name = "groups"

    def __init__(
        self,
        table: PrototypeTable,
        num_groups: int = 3,
        off_class: float = -0.5,
        last_layer: LastLayer = "dense",
    ) -> None:
        super().__init__(table, off_class, last_layer)
        self.num_groups = positive("num_groups", num_groups)
        self.classes = self.table.classes
        self._members: Tensor
        self._mask: Tensor
        for name, rows in zip(("_members", "_mask"), self._class_rows(), strict=True):
            self.register_buffer(name, rows, persistent=False)
        bound = self._mask.sum(1).rsqrt()[:, None, None]
        start = torch.rand(len(self.classes), num_groups, self._mask.shape[1]) * 2 - 1
        self.group_parameter = nn.Parameter(start * bound)
        self.project_to_simplex_()
        group_class = self.classes.repeat_interleave(num_groups)
        self.group_table = PrototypeTable(group_class, group_class * 0, table.num_classes, 1)
        self._begin_last_layer()
        self._constrain()

    @property
    def group_class(self) -> Tensor:
        """Class of each group, int64 (N,), class-major."""
        return self.group_table.class_index

    @property
    def unit_class(self) -> Tensor:
        """Class of each group, int64 (N,), class-major."""
        return self.group_class

    @property
    def member_mask(self) -> Tensor:
        """Where ``group_parameter`` is not padding, bool (classes with prototypes, 1, M)."""
        return self._mask[:, None]

    @property
    def member_scale(self) -> Tensor:
        """Scale of each entry of ``group_parameter``, int64 (classes with prototypes, 1, M)."""
        return self.table.to(self._members.device).scale_index[self._members][:, None]

    def forward(self, activations: Tensor) -> Tensor:
        """Return the logits (B, C, h, w) of prototype activations (B, P, h, w)."""
        return self.classify(self.scores(activations))

    def scores(self, activations: Tensor) -> Tensor:
        """Return the group scores ``exp(w . g)`` (B, N, h, w) of activations (B, P, h, w)."""
        check_maps("activations", activations, len(self.table), "prototypes")
        with without_autocast(activations):
            activations, weights = widen(activations, self.padded_weights())
            return kernels.group_scores(activations, weights, self._members)

    def group_weights(self, class_index: int | None = None) -> Tensor:
        """Return the group weights without padding.

        Args:
            class_index: Class whose weights to return; None for all.

        Returns:
            Weights of one class (G, M_c), whose columns are its prototypes in table order ((0, 0)
            for a class without prototypes); or of all classes (N, P), zero outside of the group's
            class.

        Raises:
            TypeError: If ``class_index`` is no number.
            ValueError: If there is no such class.
        """
        weights = self.padded_weights()
        if class_index is not None:
            class_index = check_class(class_index, self.num_classes)
            row = (self.classes == class_index).nonzero().flatten()
            if len(row) == 0:
                return weights.new_zeros(0, 0)
            return weights[int(row)][:, self._mask[int(row)]]
        columns = self._members[:, None].expand_as(weights)
        dense = weights.new_zeros(*weights.shape[:2], len(self.table))
        return dense.scatter_add(2, columns, weights).flatten(0, 1)

    @torch.no_grad()
    def weights_by_prototype(self) -> GroupWeights:
        """Return the weights of each prototype in the groups of its class, as they are now."""
        padded = self.padded_weights().detach().cpu()
        members, mask = self._members.cpu(), self._mask.cpu()
        weights = padded.new_zeros(len(self.table), self.num_groups)
        first_group = torch.zeros(len(self.table), dtype=torch.long)
        weights[members[mask]] = padded.transpose(1, 2)[mask]
        first_group[members[mask]] = mask.nonzero()[:, 0] * self.num_groups
        return GroupWeights(weights, first_group)

    @torch.no_grad()
    def set_group_weights(self, dense: Tensor) -> None:
        """Set the group weights as given, without renormalising them.

        Args:
            dense: Weights (N, P), at least 0, zero outside of the group's class, with rows that sum
                to at most 1 + 1e-6.

        Raises:
            TypeError: If the weights are no tensor of real numbers.
            ValueError: If the shape or a value does not fit.
        """
        tensor(
            "dense",
            dense,
            "groups prototypes",
            "real numbers",
            hint="one row per group (class-major), one column per prototype",
            sizes={"groups": len(self.group_class), "prototypes": len(self.table)},
        )
        dense = widen(dense.to(self.group_parameter.device))[0]
        if not bool((dense >= 0).all()) or not bool((dense.sum(1) <= 1 + SUM_TOLERANCE).all()):
            raise ValueError(
                f"dense has group weights from {float(dense.min()):.4g}, with row sums up to "
                f"{float(dense.sum(1).max()):.4g}; expected entries >= 0 and sums <= 1: project "
                "them with project_to_simplex first"
            )
        foreign = self.group_class[:, None] != self.table.class_index
        if bool((dense.cpu()[foreign] != 0).any()):
            raise ValueError(
                "dense is not zero outside of the group's class: a group combines "
                "prototypes of its own class only"
            )
        rows = dense.unflatten(0, self.group_parameter.shape[:2])
        columns = self._members[:, None].expand_as(self.group_parameter)
        self._set_group_parameter(rows.gather(2, columns).masked_fill(~self.member_mask, 0))

    @torch.no_grad()
    def threshold_(self, threshold: float = 0.05) -> None:
        """Set group weights below the threshold to zero, in place, without renormalising the rest.

        Args:
            threshold: Smallest weight to keep, in [0, 1).

        Raises:
            TypeError: If it is no number.
            ValueError: If it is outside of [0, 1).
        """
        threshold = number("threshold", threshold, Range(least=0, below=1))
        self._project_updated_by_hand()
        self.group_parameter.masked_fill_(self.group_parameter < threshold, 0)

    def used_prototypes(self) -> Tensor:
        """Return the prototypes that have a weight in some group.

        One prototype of a class whose groups have no weight at all is included. Without it the
        class would lose its groups, whose constant scores ``exp(0) = 1`` add to the logits.

        Returns:
            Prototype indices, ascending, int64.
        """
        used = (self.padded_weights().detach() != 0).any(1)
        used[:, 0] |= ~used.any(1)
        return self._members[used].sort().values.cpu()

    def keep(self, indices: Tensor | Sequence[int]) -> None:
        """Drop all prototypes but the given ones, in place, with their weights in the groups.

        Args:
            indices: Indices of the prototypes to keep; their order stays.

        Raises:
            ValueError: If a class with groups would be left without a prototype.
        """
        index = self.table.check_kept(indices)
        table = self.table.keep(index)
        kept = self.padded_weights().detach()
        if not torch.equal(table.classes, self.classes):
            lost = sorted(set(self.classes.tolist()) - set(table.classes.tolist()))
            raise ValueError(
                f"classes {lost} would be left without a prototype, but have groups: keep at least "
                "one prototype of each"
            )
        column = torch.zeros(len(self.table), dtype=torch.long)
        mask = self._mask.cpu()
        column[self._members.cpu()[mask]] = mask.nonzero()[:, 1]
        self.table = table
        members, present = (rows.to(self._mask.device) for rows in self._class_rows())
        columns = column.to(members.device)[index.to(members.device)[members]]
        kept = kept.gather(2, columns[:, None].expand(-1, self.num_groups, -1))
        self._members, self._mask = members, present
        self.group_parameter = nn.Parameter(
            kept.masked_fill(~self.member_mask, 0),
            requires_grad=self.group_parameter.requires_grad,
        )

    def extra_repr(self) -> str:
        """Return the arguments of the head."""
        return (
            f"{self.table}, num_groups={self.num_groups}, off_class={self.off_class}, "
            f"last_layer={self.last_layer!r}"
        )

    def _class_rows(self) -> tuple[Tensor, Tensor]:
        """Return the padded prototype indices of each class that has any, and their mask."""
        indices, mask = self.table.members("class")
        return indices[self.classes], mask[self.classes]
