"""Figures of explanations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoxai.explanations.explanation import Explanation
from protoxai.explanations.regions import GroupEvidence, PrototypeEvidence, RegionExplanation
from protoxai.prototypes.provenance import Box, Provenance
from protoxai.runtime.checks import Range, function, instance, palette_of, whole
from protoxai.runtime.figure_text import AS_IT_IS, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Palette = Sequence[tuple[int, int, int]]
SCALE_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
SHOWN = Range(least=1, most=100)
CONTEXT = 0.35
"""Share of a prototype's region shown around it on each side."""
FADED = 0.45
"""Contrast of the image outside of the explained region."""
ROW = 2.2
"""Height of a region's row, in inches."""


def explanation_figure(
    explanation: Explanation,
    image_of: Callable[[int], Tensor],
    *,
    palette: Palette | None = None,
    regions: int = 3,
    groups: int = 3,
    prototypes: int = 3,
) -> Figure:
    """Draw an image, its prediction, and the strongest groups of its largest regions.

    Each prototype is shown as the training image around its active region, with its patch framed in
    the colour of its scale and its evidence for the region's class.

    Args:
        explanation: Explanation from :func:`~protoxai.explain`.
        image_of: Function from a data set index to the training image, uint8 (3, H, W).
        palette: RGB colour of each class, 0 to 255.
        regions: Number of regions to show, the largest first.
        groups: Number of groups to show per region, those with the most evidence first.
        prototypes: Number of prototypes to show per group.

    Returns:
        A matplotlib figure; save it with ``figure.savefig("explanation.png")``.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If a number is below 1, or the palette does not have a colour per class.
    """
    instance("explanation", explanation, Explanation, "explain(model, image)")
    function("image_of", image_of)
    regions, groups = whole("regions", regions, SHOWN), whole("groups", groups, SHOWN)
    prototypes = whole("prototypes", prototypes, SHOWN)
    from matplotlib.figure import Figure

    shown = explanation.regions[:regions]
    colours = _colours(len(explanation.class_names), palette)
    columns = min(groups, max((len(region.groups) for region in shown), default=1))
    height, width = explanation.prediction.shape
    aspect = height / width
    top = 5.6 * aspect + 0.7
    figure = Figure(figsize=(14, top + ROW * len(shown)), layout="constrained", facecolor="white")
    parts = figure.subfigures(1 + len(shown), 1, height_ratios=[top] + [ROW] * len(shown))
    above, *below = parts.flat if isinstance(parts, np.ndarray) else [parts]
    _draw_prediction(above, explanation, colours)
    for part, region in zip(below, shown, strict=True):
        ratios = [1.6] + [prototypes] * columns
        panels = part.subfigures(1, 1 + columns, width_ratios=ratios, squeeze=False)[0]
        _draw_region(panels[0], explanation, region, colours[region.class_index])
        for panel, group in zip(panels[1:], region.groups, strict=False):
            _draw_group(panel, group, image_of, prototypes)
    return figure


def _draw_prediction(
    figure: SubFigure, explanation: Explanation, colours: NDArray[np.float64]
) -> None:
    from matplotlib.patches import Patch

    image = _rgb(explanation.image)
    labels = explanation.prediction.numpy()
    left, right = figure.subplots(1, 2)
    for axes, picture, title in (
        (left, image, "Image"),
        (right, 0.35 * image + 0.65 * colours[labels], "Prediction"),
    ):
        axes.imshow(picture)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_axis_off()
    legend = figure.legend(
        handles=[Patch(facecolor=colours[r.class_index]) for r in explanation.regions],
        labels=[drawable(region.class_name) for region in explanation.regions],
        loc="outside lower center",
        ncols=min(len(explanation.regions), 8),
        frameon=False,
        fontsize=9,
    )
    for text in legend.get_texts():
        text.set(**AS_IT_IS)


def _draw_region(
    figure: SubFigure,
    explanation: Explanation,
    region: RegionExplanation,
    colour: NDArray[np.float64],
) -> None:
    image = _rgb(explanation.image)
    mask = region.region.numpy()
    faded = np.where(mask[..., None], image, 1 - FADED * (1 - image))
    axes = figure.subplots()
    axes.imshow(faded)
    axes.contour(mask, levels=[0.5], colors=[tuple(colour)], linewidths=1.5)
    axes.set_axis_off()
    name = drawable(region.class_name)
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold", **AS_IT_IS)
    own = sum(group.evidence for group in region.groups)
    axes.text(
        0,
        -0.04,
        f"logit {region.logit:.1f} = {region.baseline:+.1f} base\n{own:+.1f} own groups "
        f"{region.other_evidence:+.1f} other classes'",
        fontsize=8,
        va="top",
        transform=axes.transAxes,
    )


def _draw_group(
    figure: SubFigure,
    group: GroupEvidence,
    image_of: Callable[[int], Tensor],
    prototypes: int,
) -> None:
    hidden = len(group.prototypes) - prototypes
    more = f", {hidden} more" if hidden > 0 else ""
    figure.suptitle(
        f"Group {group.group}: {group.evidence:+.2f}{more}", fontsize=10, x=0.02, ha="left"
    )
    panels = np.atleast_1d(figure.subplots(1, prototypes))
    for axes in panels:
        axes.set_axis_off()
    for axes, prototype in zip(panels, group.prototypes, strict=False):
        _draw_prototype(axes, prototype, image_of)


def _draw_prototype(
    axes: Axes, prototype: PrototypeEvidence, image_of: Callable[[int], Tensor]
) -> None:
    from matplotlib.patches import Rectangle

    colour = SCALE_COLOURS[prototype.scale % len(SCALE_COLOURS)]
    axes.set_title(
        f"scale {prototype.scale + 1}\n{prototype.evidence:+.2f}", fontsize=9, color=colour
    )
    source = prototype.provenance
    if source is None or source.image_index is None or source.patch is None:
        axes.text(0.5, 0.5, "no source", ha="center", va="center", transform=axes.transAxes)
        return
    image = _rgb(image_of(source.image_index).float() / 255)
    top, left, bottom, right = _view(source, (image.shape[0], image.shape[1]))
    axes.imshow(image[top:bottom, left:right], extent=(left, right, bottom, top))
    for box, width in ((source.active_region, 1.0), (source.patch, 2.0)):
        if box is not None:
            corner, size = (box[1], box[0]), (box[3] - box[1], box[2] - box[0])
            axes.add_patch(
                Rectangle(
                    corner, *size, fill=False, edgecolor=colour, linewidth=width, clip_on=True
                )
            )
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _view(source: Provenance, size: tuple[int, int]) -> Box:
    """Return a square box that contains the patch and as much of its active region as fits."""
    top, left, bottom, right = source.active_region or source.patch or (0, 0, *size)
    side = max(bottom - top, right - left, min(size) // 4)
    side = min(round(side * (1 + 2 * CONTEXT)), *size)
    centre = ((top + bottom) // 2, (left + right) // 2)
    # The patch stays inside even if the active region is larger than the square.
    patch = source.patch or (top, left, bottom, right)
    starts = [
        min(max(min(max(at - side // 2, end - side), start), 0), limit - side)
        for at, start, end, limit in zip(centre, patch[:2], patch[2:], size, strict=True)
    ]
    return starts[0], starts[1], starts[0] + side, starts[1] + side


def _colours(num_classes: int, palette: Palette | None) -> NDArray[np.float64]:
    from matplotlib import colormaps

    if palette is not None:
        return np.asarray(palette_of("palette", palette, num_classes), dtype=np.float64) / 255
    return np.asarray([colormaps["tab20"](i % 20)[:3] for i in range(num_classes)])


def _rgb(image: Tensor) -> NDArray[np.float64]:
    return torch.clamp(image, 0, 1).permute(1, 2, 0).double().numpy()
