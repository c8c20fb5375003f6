"""A prototype explanation against Captum's, of the same trunk's black box."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed import cases
from benchmarks.speed.figure import Bound, Curve, Figure
from benchmarks.speed.measure import Call, side_by_side
from protoxai import LinearSegmenter, ScaleProtoSeg, explain, project_prototypes
from protoxai.attribution import CaptumAttribution, PrototypeAttribution
from protoxai.labels import labels_at

FASTER = Bound("at least", 80)
CLASSES = 21


@dataclass(frozen=True)
class ExplanationTask:
    """An image to explain, and the trunk of the models that are explained.

    Attributes:
        trunk: Name of the backbone.
        height: Height of the image.
        width: Width of the image.
        steps: Steps of integrated gradients.
    """

    trunk: str = "timm/resnet50"
    height: int = 360
    width: int = 480
    steps: int = 50

    @property
    def where(self) -> str:
        """Description in tables."""
        return f"{self.trunk}, {self.height}x{self.width}"

    def image(self, device: torch.device) -> Tensor:
        """Return one image."""
        return cases.random((1, 3, self.height, self.width), device) * 4 - 2

    def prototypical(self, image: Tensor) -> ScaleProtoSeg:
        """Return a grouped model that predicts every class somewhere in the image."""
        torch.manual_seed(0)
        model = ScaleProtoSeg(self.trunk, CLASSES, pretrained=False).to(image.device)
        square = cases.Shape("", self.width, CLASSES, CLASSES, batch=1)
        regions = labels_at(cases.labels(square, image.device), (self.height, self.width))
        # The prototypes become the image's own patches, a class in each region.
        project_prototypes(model, [(image, regions)])
        return model.group().eval()

    def calls(self, device: torch.device, captum: tuple[str, ...]) -> dict[str, Call]:
        """Return calls of the explainers, by name.

        "all regions" explains every predicted class over its region, with groups and prototypes.
        "one class" returns the evidence of all groups for one class. Captum's methods return one
        map for one class.
        """
        image = self.image(device)
        model = self.prototypical(image)
        black_box = LinearSegmenter(self.trunk, CLASSES, pretrained=False).to(device).eval()
        region, chosen = torch.ones_like(image[:, 0], dtype=torch.bool), torch.tensor([0])
        prototypes = PrototypeAttribution(model)
        calls: dict[str, Call] = {
            "all regions": lambda: explain(model, image).regions,
            "one class": partial(prototypes, image, region, chosen),
        }
        for name in captum:
            options: dict[str, Any] = {}
            if name == "IntegratedGradients":
                options["n_steps"] = self.steps
            method = CaptumAttribution(name, black_box, **options)
            calls[name] = partial(method, image, region, chosen)
        return calls


def explanations(setting: cases.Setting) -> Iterator[Figure | Curve]:
    """Measure explanations by prototypes, integrated gradients (50 steps), occlusion, Grad-CAM."""
    task = ExplanationTask()
    if setting.quick:
        task = ExplanationTask("timm/resnet18", 72, 96)
    captum = ("IntegratedGradients", "Occlusion", "LayerGradCam")
    times = side_by_side(task.calls(setting.device, captum), setting.rounds)
    for name in captum:
        for ours in ("all regions", "one class"):
            bounded = name == "IntegratedGradients" and not setting.quick
            yield Figure.of_times(
                f"explanation, {ours}",
                task.where,
                times,
                (name, ours),
                FASTER if bounded and ours == "all regions" else None,
            )
