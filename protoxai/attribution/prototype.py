"""A prototype model's own explanation, as an attribution."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.captum_methods import CaptumAttribution
from protoxai.attribution.evidence import prototype_evidence, region_weights, unit_evidence
from protoxai.attribution.registry import register_explainer
from protoxai.attribution.target import check_classes
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import choice, instance
from protoxai.runtime.representation import call_repr
from protoxai.runtime.resize import resize
from protoxai.runtime.wrappers import unwrapped

UNITS = {"groups": unit_evidence, "prototypes": prototype_evidence}
DESTINATIONS = ("cells", "pixels")


class PrototypeAttribution(AttributionMethod):
    """The exact evidence of a prototype model's units, and where it is or what it comes from.

    The units are all groups (N) or all prototypes (P) of all classes. A unit's value is the mean of
    its evidence over the region, so the units add up to the region's mean logit without the class's
    baseline.

    - To "cells", in one forward pass, the map shows where the evidence is: the sum of all units'
      evidence in each cell of the feature grid, resized to the image. This is the logit of each
      pixel without the class's baseline, and it does not show which pixels the cell saw.
    - To "pixels", the map shows which pixels the evidence comes from: Captum's ``method`` applied
      to the region's mean evidence, through the trunk, as it is applied to a black box's logit.

    A class's evidence is its logit minus a baseline that does not depend on the image
    (:func:`~protoxai.attribution.baseline_logit`), and none of Captum's methods changes if a
    constant is subtracted. So the map to pixels is that of
    :class:`~protoxai.attribution.CaptumAttribution` on the model's logit: prototypes decide which
    units it comes with, and what the model is, not how it is traced. By "IntegratedGradients" it
    sums to the evidence in the image minus the evidence in a uniform image of the mean colour.

    Args:
        model: Prototype model to explain.
        units: "groups" or "prototypes"; in stage 1 each prototype is a group of its own.
        to: "cells" or "pixels".
        method: Captum's method that traces the evidence to pixels, a name of
            :class:`~protoxai.attribution.CaptumAttribution`; None: "IntegratedGradients", whose
            maps are complete. Only for pixels.
        **options: Options of that method.

    Raises:
        TypeError: If the model has no prototypes, or the method has no such option.
        ValueError: If ``units``, ``to`` or the method is unknown, or there is a method or an option
            for cells.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> explainer = PrototypeAttribution(model)
        >>> task = torch.rand(1, 3, 32, 40), torch.ones(1, 32, 40) > 0, torch.tensor([1])
        >>> attribution = explainer(*task)
        >>> attribution.map.shape, attribution.units.shape, attribution.cost.forward_passes
        (torch.Size([1, 32, 40]), torch.Size([1, 6]), 1)
        >>> traced = PrototypeAttribution(model, to="pixels", method="InputXGradient")(*task)
        >>> torch.equal(traced.units, attribution.units)
        True
    """

    model: ScaleProtoSeg

    def __init__(
        self,
        model: ScaleProtoSeg,
        units: str = "groups",
        *,
        to: str = "cells",
        method: str | None = None,
        **options: Any,
    ) -> None:
        hint = "explain a model without prototypes with CaptumAttribution"
        model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
        self.units = choice("units", units, UNITS)
        self.to = choice("to", to, DESTINATIONS)
        super().__init__(units if to == "cells" else f"{units} to pixels", model)
        self._tracing: CaptumAttribution | None = None
        self.method, self.options = method, options
        if to == "pixels":
            self.method = "IntegratedGradients" if method is None else method
            self._tracing = CaptumAttribution(self.method, model, **options)
        elif method is not None or options:
            given = "method" if method is not None else next(iter(options))
            raise ValueError(
                f"{given} is given, but the evidence is not traced to pixels: leave it out, or "
                'give to="pixels"'
            )

    def __repr__(self) -> str:
        traced = {} if self._tracing is None else {"method": self.method, **self.options}
        return call_repr(self, model=self.model, units=self.units, to=self.to, **traced)

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the map of each image (B, H, W), and the evidence of its units (B, U)."""
        maps, units = self._evidence(images, region, class_index)
        if self._tracing is not None:
            maps, _ = self._tracing.attribute(images, region, class_index)
        return maps, units

    @torch.no_grad()
    def _evidence(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        check_classes(class_index, self.model.num_classes)
        output = self.model(images)
        grid = output.logits.shape[2:]
        weights = region_weights(region, (grid[0], grid[1]))
        maps = output.logits.new_empty(len(images), *grid)
        units = output.logits.new_empty(len(images), self._num_units)
        for index in class_index.unique().tolist():
            rows = class_index == index
            evidence = UNITS[self.units](self.model.head, _rows(output, rows), index)
            maps[rows] = evidence.sum(1)
            units[rows] = (evidence * weights[rows][:, None]).sum((2, 3)).to(units)
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
register_explainer("evidence_to_pixels", applies_to=_has_prototypes)(
    partial(PrototypeAttribution, to="pixels")
)
