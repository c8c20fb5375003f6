"""Figure of several explainers' maps of one image, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from protoxai.attribution.base import AttributionMethod
from protoxai.attribution.map_panels import bare, draw_failure, draw_image, draw_map
from protoxai.attribution.target import IMAGE_HINT, logits_of
from protoxai.model.prediction import predicted_labels
from protoxai.runtime.checks import Range, number, shown, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.tensors import tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = Range(least=1, most=40)
PANEL, GAP = 1.6, 0.1
"""Least width of a panel, and the space between panels, in inches."""
HOW_TO_READ = (
    "Outlined: the region that is explained. Violet pixels speak for the class, orange ones "
    "against it. Each map is divided by its largest value."
)


def attribution_figure(
    explainers: Sequence[AttributionMethod],
    image: Tensor,
    class_index: int | None = None,
    region: Tensor | None = None,
    *,
    width: float = 7.0,
) -> Figure:
    """Draw the maps of several explainers for one image side by side.

    Args:
        explainers: Explainers, of one model or several.
        image: Normalised image (3, H, W) or (1, 3, H, W).
        class_index: Class to explain; None for the one that the first explainer's model predicts
            for most pixels.
        region: Pixels to explain, bool (H, W); None for those that an explainer's own model
            predicts as the class.
        width: Width in inches: by default that of a page.

    Returns:
        A matplotlib figure; save it with ``figure.savefig("maps.pdf")``. An explainer that fails
        has the name of its error in place of a map.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there is no explainer, the image or the region has another shape, or a number
            is out of range.

    Example:
        >>> from protoxai import ScaleProtoSeg
        >>> from protoxai.attribution import CaptumAttribution, PrototypeAttribution
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> explainers = [PrototypeAttribution(model), CaptumAttribution("Saliency", model)]
        >>> figure = attribution_figure(explainers, torch.randn(3, 32, 40))
    """
    explainers = _explainers(explainers)
    tensor("image", image, "... channels height width", hint=IMAGE_HINT, sizes={"channels": 3})
    image = image[None] if image.dim() == 3 else image
    if image.dim() != 4 or len(image) != 1:
        raise ValueError(f"image has shape {tuple(image.shape)}, expected one image (3, H, W)")
    height, cols = image.shape[2:]
    if region is not None:
        tensor("region", region, "height width", "bool", sizes={"height": height, "width": cols})
    width = number("width", width, INCHES)
    logits = [_logits(each.model, image) for each in explainers]
    if class_index is None:
        predicted = predicted_labels(logits[0], image.shape[2:])
        class_index = int(predicted.flatten().bincount().argmax())
    classes = Range(least=0, most=min(each.shape[1] for each in logits) - 1)
    class_index = whole("class_index", class_index, classes)
    masks = [
        region[None].cpu()
        if region is not None
        else predicted_labels(each, image.shape[2:]) == class_index
        for each in logits
    ]
    return _draw(explainers, image, class_index, masks, width)


def _draw(
    explainers: Sequence[AttributionMethod],
    image: Tensor,
    class_index: int,
    masks: Sequence[Tensor],
    width: float,
) -> Figure:
    from protoxai.runtime.figure_sheet import NOTE, TITLE, Sheet

    sheet = Sheet(width)
    columns = max(1, min(len(explainers) + 1, int((sheet.width + GAP) / (PANEL + GAP))))
    side = (sheet.width - GAP * (columns - 1)) / columns
    tall = side * image.shape[2] / image.shape[3]
    top = 0.02
    for position in range(len(explainers) + 1):
        row, column = divmod(position, columns)
        left, top = column * (side + GAP), 0.02 + row * (tall + 0.32)
        name = explainers[position - 1].name if position else _class_name(explainers, class_index)
        sheet.text(left, top, name, size=TITLE, bold=not position, width=side)
        panel = sheet.axes((left, top + 0.2, side, tall))
        bare(panel)
        panel.set_aspect("auto", adjustable="box")
        if not position:
            draw_image(panel, image[0], masks[0][0])
            continue
        explainer, mask = explainers[position - 1], masks[position - 1]
        try:
            own = _on_device(image, explainer.model)
            found = explainer(own, mask.to(own.device), torch.tensor([class_index]))
            draw_map(panel, found.map[0].float().cpu().numpy())
        except Exception as error:  # the other maps are drawn
            draw_failure(panel, error)
    end = sheet.paragraph(0, top + tall + 0.3, HOW_TO_READ, sheet.width, size=NOTE)
    return sheet.finish(end + 0.04)


def _explainers(given: Sequence[AttributionMethod]) -> list[AttributionMethod]:
    is_list = isinstance(given, list | tuple)
    if not is_list or not all(isinstance(each, AttributionMethod) for each in given):
        raise TypeError(
            f"explainers are {shown(given)}, expected a list such as [PrototypeAttribution(model)]"
        )
    if not given:
        raise ValueError("explainers are empty, expected at least one")
    return list(given)


@torch.no_grad()
def _logits(model: nn.Module, image: Tensor) -> Tensor:
    """Return the logits of an image on the CPU, (1, C, h, w)."""
    with evaluating(model):
        return logits_of(model(_on_device(image, model))).cpu()


def _class_name(explainers: Sequence[AttributionMethod], class_index: int) -> str:
    names: Sequence[str] = getattr(explainers[0].model, "class_names", None) or ()
    return names[class_index] if class_index < len(names) else f"class {class_index}"


def _on_device(image: Tensor, model: nn.Module) -> Tensor:
    parameter = next(model.parameters(), None)
    return image if parameter is None else image.to(parameter.device)
