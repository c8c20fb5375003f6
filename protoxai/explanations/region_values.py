"""What a model computed over a region of an image: the numbers behind every explanation."""

from __future__ import annotations

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
        weights = region_weights(region, grid).flatten().double()
        shares = cell_shares(region, grid).flatten()
        cells = ((weights > 0) | (shares > 0)).nonzero().flatten()
        self._head = head
        self._output = _at_cells(output, cells)
        self._weights = (weights / weights.sum())[cells][None]
        self.logits = self._mean(self._output.logits)
        self.activations = (self._output.activations[0, :, 0] * shares[cells]).sum(1)

    def units(self, class_index: int) -> Tensor:
        """Return the evidence of each unit of the last layer for a class, (U,)."""
        return self._mean(unit_evidence(self._head, self._output, class_index))

    def prototypes(self, class_index: int) -> Tensor:
        """Return the evidence of each prototype for a class, over all its groups, (P,)."""
        return self._mean(prototype_evidence(self._head, self._output, class_index))

    def members(self, class_index: int) -> Tensor:
        """Return the evidence of a class's prototypes through each of its groups, (G, M_c).

        In stage 1, where each prototype is its own group, it is a diagonal matrix.
        """
        if isinstance(self._head, SparseGroupHead):
            return member_evidence(self._head, self._output, class_index, self._weights)
        own = self._head.table.class_index == class_index
        return self.units(class_index)[own].diag()

    def _mean(self, maps: Tensor) -> Tensor:
        return (maps[0] * self._weights).sum((1, 2)).detach()


def _at_cells(output: SegmentationOutput, cells: Tensor) -> SegmentationOutput:
    """Return an output whose logits, activations and scores are those of n cells, (1, n) maps."""

    def chosen(maps: Tensor) -> Tensor:
        return maps.flatten(2)[:, :, None, cells].double()

    scores = output.group_scores
    return output._replace(
        logits=chosen(output.logits),
        activations=chosen(output.activations),
        group_scores=None if scores is None else chosen(scores),
    )
