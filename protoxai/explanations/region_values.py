"""What a model computed over a region of an image: the numbers behind every explanation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from protoxai.attribution.evidence import (
    member_evidence,
    prototype_evidence,
    region_weights,
    unit_evidence,
)
from protoxai.explanations.areas import cell_shares
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead
from protoxai.model.outputs import SegmentationOutput


class RegionValues:
    """Means over a region of logits, activations and evidence, in float64.

    Logits and evidence are interpolated to the image, as the prediction is; an activation is that
    of the pixel's cell. Only the cells under the region are read, so that a pixel costs next to
    nothing.

    Args:
        head: Head of the model, on the CPU.
        output: Output of the model for the image, on the CPU.
        region: Pixels, at least one, bool (H, W), on the CPU.

    Attributes:
        logits: Logit of each class, (C,).
        activations: Activation of each prototype, (P,).
    """

    def __init__(
        self, head: PrototypeHead | SparseGroupHead, output: SegmentationOutput, region: Tensor
    ) -> None:
        grid = (output.logits.shape[2], output.logits.shape[3])
        weights = region_weights(region, grid).flatten()
        shares = cell_shares(region, grid).flatten()
        cells = ((weights > 0) | (shares > 0)).nonzero().flatten()
        self._head = head
        self._cells = _maps(output, lambda maps: maps.index_select(2, cells)[:, :, None].double())
        self._weights = (weights / weights.sum())[cells][None]
        self._means = _maps(self._cells, lambda maps: (maps @ self._weights[0])[..., None, None])
        self.logits = self._means.logits.flatten()
        self.activations = (self._cells.activations @ shares[cells]).flatten()

    def units(self, class_index: int) -> Tensor:
        """Return the evidence of each unit of the last layer for a class, (U,)."""
        # It is linear in the units, so the evidence of their means is the mean evidence.
        return unit_evidence(self._head, self._means, class_index).flatten().detach()

    def prototypes(self, class_index: int) -> Tensor:
        """Return the evidence of each prototype for a class, over all its groups, (P,)."""
        if not isinstance(self._head, SparseGroupHead):
            return self.units(class_index)
        maps = prototype_evidence(self._head, self._cells, class_index)
        return (maps @ self._weights[0]).flatten().detach()

    def members(self, class_index: int) -> Tensor:
        """Return the evidence of a class's prototypes through each of its groups, (G, M_c).

        In stage 1, where each prototype is its own group, it is a diagonal matrix.
        """
        if isinstance(self._head, SparseGroupHead):
            return member_evidence(self._head, self._cells, class_index, self._weights)
        own = self._head.table.class_index == class_index
        return self.units(class_index)[own].diag()


def _maps(output: SegmentationOutput, change: Callable[[Tensor], Tensor]) -> SegmentationOutput:
    """Return an output whose logits, activations and scores, as (1, channels, h w), are changed."""

    def changed(maps: Tensor) -> Tensor:
        return change(maps.flatten(2))

    scores = output.group_scores
    return output._replace(
        logits=changed(output.logits),
        activations=changed(output.activations),
        group_scores=None if scores is None else changed(scores),
    )
