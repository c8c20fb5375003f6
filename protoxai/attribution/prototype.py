"""A prototype model's own explanation, as an attribution."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.evidence import prototype_evidence, region_weights, unit_evidence
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import check_classes
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import choice, instance
from protoxai.runtime.resize import resize
from protoxai.runtime.wrappers import unwrapped

UNITS = {"groups": unit_evidence, "prototypes": prototype_evidence}


class PrototypeAttribution(AttributionMethod):
    """The exact evidence of a prototype model's units, in one forward pass.

    The map is the sum of all units' evidence, resized to the image: the logit of each pixel without
    the class's baseline. The units are all groups (N) or all prototypes (P) of all classes. A
    unit's value is the mean of its evidence over the region, so the units add up to the region's
    mean logit without the baseline.

    Args:
        model: Prototype model to explain.
        units: "groups" or "prototypes"; in stage 1 each prototype is a group of its own.

    Raises:
        TypeError: If the model has no prototypes.
        ValueError: If ``units`` is unknown.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> explainer = PrototypeAttribution(model)
        >>> region = torch.ones(1, 32, 40, dtype=torch.bool)
        >>> attribution = explainer(torch.rand(1, 3, 32, 40), region, torch.tensor([1]))
        >>> attribution.map.shape, attribution.units.shape, attribution.cost.forward_passes
        (torch.Size([1, 32, 40]), torch.Size([1, 6]), 1)
    """

    model: ScaleProtoSeg

    def __init__(self, model: ScaleProtoSeg, units: str = "groups") -> None:
        hint = "explain a model without prototypes with CaptumAttribution"
        model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
        super().__init__(choice("units", units, UNITS), model)
        self.units = units

    @torch.no_grad()
    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the evidence map of each image (B, H, W), and the evidence of its units (B, U)."""
        check_classes(class_index, self.model.num_classes)
        output = self.model(images)
        grid = output.logits.shape[2:]
        weights = region_weights(region, (grid[0], grid[1])).to(output.logits.dtype)
        maps = output.logits.new_empty(len(images), *grid)
        units = output.logits.new_empty(len(images), self._num_units)
        for index in class_index.unique().tolist():
            rows = class_index == index
            evidence = UNITS[self.units](self.model.head, _rows(output, rows), index)
            maps[rows] = evidence.sum(1)
            units[rows] = (evidence * weights[rows][:, None]).sum((2, 3))
        return resize(maps[:, None], images.shape[2:])[:, 0], units

    @property
    def _num_units(self) -> int:
        head = self.model.head
        return head.weight.shape[1] if self.units == "groups" else len(head.table)


def _rows(output: SegmentationOutput, rows: Tensor) -> SegmentationOutput:
    scores = output.group_scores
    return SegmentationOutput(
        output.logits[rows],
        output.embedding[rows],
        output.distances[rows],
        output.activations[rows],
        None if scores is None else scores[rows],
    )


def _has_prototypes(model: nn.Module) -> bool:
    return isinstance(unwrapped(model), ScaleProtoSeg)


def _has_groups(model: nn.Module) -> bool:
    model = unwrapped(model)
    return isinstance(model, ScaleProtoSeg) and model.grouped


register_explainer("groups", applies_to=_has_groups)(partial(PrototypeAttribution, units="groups"))
register_explainer("prototypes", applies_to=_has_prototypes)(
    partial(PrototypeAttribution, units="prototypes")
)
