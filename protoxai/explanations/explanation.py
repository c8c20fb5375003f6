"""The explanation of one image: what can be asked about a segmentation, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from protoxai.attribution.evidence import baseline_logit, evidence_of_prototype
from protoxai.explanations.areas import Firing, Region, region_mask, where_it_fires
from protoxai.explanations.contrast import Contrast, prototype_contrasts, runner_up
from protoxai.explanations.region_values import RegionValues
from protoxai.explanations.regions import RegionExplanation, class_groups
from protoxai.heads.groups import SparseGroupHead
from protoxai.heads.linear import PrototypeHead, check_class
from protoxai.labels import labels_at
from protoxai.model.outputs import SegmentationOutput
from protoxai.prototypes.prototype import Prototype
from protoxai.prototypes.provenance import Box, Provenance
from protoxai.runtime.checks import Range, whole
from protoxai.runtime.palette import Colour
from protoxai.runtime.resize import resize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Explanation:
    """An image, its segmentation, and the evidence behind it, on the CPU.

    Maps and regions have the size (H, W) of the image as it was given. Logits and evidence are
    interpolated from the feature grid to it, as the prediction is; an activation is that of the
    pixel's cell. Every number is exact: a class's logit is its baseline plus the evidence of all
    groups, and a group's evidence is the sum of its prototypes'. Numbers and maps are computed when
    they are asked for.

    Attributes:
        image: RGB image (3, H, W), in [0, 1].
        prediction: Predicted labels, int64 (H, W).
        labels: True labels, int64 (H, W), if they were given; values outside of the classes are
            pixels without one.
        class_names: Names of all classes.
        output: Output of the model for the image, on the feature grid.
        head: Copy of the model's head.
        prototypes: The model's prototypes.
        provenance: Training patch behind each prototype, if the model was projected.
        familiarity: How near each pixel is to the nearest prototype of its predicted class, (H, W):
            the share of the class's training pixels that are at least as far, in [0, 1]. None if
            the model does not know the distances in the training images.
        palette: Colour (red, green, blue) of each class, 0 to 255.

    Example:
        >>> from protoxai import ScaleProtoSeg, explain
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> explanation = explain(model, torch.randn(3, 32, 40))
        >>> pixel = explanation.at(row=12, col=30)
        >>> len(pixel.groups), explanation.activation_map(5).shape
        (12, torch.Size([32, 40]))
        >>> contrast = explanation.contrast(pixel.class_index)
        >>> total = contrast.baseline + sum(p.difference for p in contrast.prototypes)
        >>> abs(total - contrast.difference) < 1e-5
        True
    """

    image: Tensor
    prediction: Tensor
    labels: Tensor | None
    class_names: tuple[str, ...]
    output: SegmentationOutput
    head: PrototypeHead | SparseGroupHead
    prototypes: Sequence[Prototype]
    provenance: tuple[Provenance, ...] | None
    familiarity: Tensor | None
    palette: tuple[Colour, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (H, W) of the image."""
        return self.prediction.shape[0], self.prediction.shape[1]

    @cached_property
    def regions(self) -> tuple[RegionExplanation, ...]:
        """Explanation of each predicted class over its pixels, by decreasing area."""
        classes, sizes = self.prediction.unique(return_counts=True)
        by_size = classes[sizes.argsort(descending=True, stable=True)].tolist()
        return tuple(self.of_class(class_index) for class_index in by_size)

    def at(self, row: int, col: int) -> RegionExplanation:
        """Explain the class that is predicted at a pixel.

        Args:
            row: Row of the pixel.
            col: Column of the pixel.

        Raises:
            TypeError: If an argument is no number.
            ValueError: If there is no such pixel.
        """
        row, col = (
            whole(name, value, Range(least=0, most=most - 1))
            for name, value, most in zip(("row", "col"), (row, col), self.size, strict=True)
        )
        return self.region((row, col, row + 1, col + 1))

    def region(self, region: Region, class_index: int | None = None) -> RegionExplanation:
        """Explain a class over any region of the image.

        Args:
            region: Mask, bool (H, W), or box (top, left, bottom, right), ends exclusive.
            class_index: Class to explain; None for the one that is predicted most often there.

        Raises:
            TypeError: If the region is neither a mask nor a box, or the class no number.
            ValueError: If the region is empty or does not fit the image, or there is no such class.
        """
        mask = region_mask(region, self.size)
        if class_index is None:
            class_index = int(self.prediction[mask].bincount().argmax())
        return self._explain(mask, check_class(class_index, len(self.class_names)))

    def of_class(self, class_index: int) -> RegionExplanation:
        """Explain a class over the pixels that are predicted as it.

        Args:
            class_index: The class.

        Raises:
            TypeError: If the class is no number.
            ValueError: If there is no such class, or it is predicted nowhere.
        """
        class_index = check_class(class_index, len(self.class_names))
        return self._explain(self._predicted("class_index", class_index), class_index)

    def contrast(
        self, this: int, other: int | None = None, region: Region | None = None
    ) -> Contrast:
        """Explain why a region is one class and not another.

        Args:
            this: The class in question.
            other: The class to compare it with; None for the one with the highest logit over the
                region among all others.
            region: Mask, bool (H, W), or box (top, left, bottom, right), ends exclusive; None for
                the pixels that are predicted as ``this``.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If there is no such class or it is compared with itself, or the region is
                empty or does not fit the image.
        """
        known = Range(least=0, most=len(self.class_names) - 1)
        this = whole("this", this, known)
        mask = self._predicted("this", this) if region is None else region_mask(region, self.size)
        values = RegionValues(self.head, self.output, mask)
        if other is None:
            other = runner_up(values.logits, this)
        other = whole("other", other, known)
        if other == this:
            raise ValueError(f"this and other are both class {this}, expected two classes")
        pair = float(values.logits[this]), float(values.logits[other])
        return Contrast(
            this,
            other,
            self.class_names[this],
            self.class_names[other],
            mask,
            *pair,
            pair[0] - pair[1],
            float(self._baselines[this] - self._baselines[other]),
            prototype_contrasts(self.head.table, values, this, other, self.provenance),
        )

    def evidence_map(self, prototype: int, class_index: int) -> Tensor:
        """Return a prototype's contribution to a class's logit at every pixel, (H, W).

        Args:
            prototype: Index of the prototype.
            class_index: The class.

        Raises:
            TypeError: If an argument is no number.
            ValueError: If there is no such prototype or class.
        """
        prototype = self._prototype(prototype)
        cells = evidence_of_prototype(self.head, self.output, class_index, prototype)
        return resize(cells[:, None], self.size)[0, 0]

    def activation_map(self, prototype: int) -> Tensor:
        """Return a prototype's activation at every pixel, (H, W): that of the pixel's cell.

        Args:
            prototype: Index of the prototype.

        Raises:
            TypeError: If it is no number.
            ValueError: If there is no such prototype.
        """
        return labels_at(self.output.activations[0, self._prototype(prototype)], self.size)

    def firing(self, prototype: int, region: Region | None = None) -> Firing:
        """Return the cell where a prototype is most active, and the box around it.

        Args:
            prototype: Index of the prototype.
            region: Mask, bool (H, W), or box (top, left, bottom, right), ends exclusive; None for
                the pixels that are predicted as the prototype's class, or the whole image if there
                are none.

        Raises:
            TypeError: If an argument is of another type.
            ValueError: If there is no such prototype, or the region is empty or does not fit.
        """
        prototype = self._prototype(prototype)
        if region is None:
            mask = self.prediction == self.head.table.class_index[prototype]
            mask = mask if bool(mask.any()) else torch.ones_like(mask)
        else:
            mask = region_mask(region, self.size)
        return where_it_fires(self.output.activations[0, prototype], mask)

    def box(self, prototype: int, region: Region | None = None) -> Box:
        """Return the box in the image where a prototype is most active, see :meth:`firing`."""
        return self.firing(prototype, region).box

    def figure(self, **options: Any) -> Figure:
        """Draw the explanation, see :func:`~protoxai.explanations.explanation_figure`."""
        from protoxai.explanations.figures import explanation_figure

        return explanation_figure(self, **options)

    def to_html(self) -> str:
        """Return the explanation as one self-contained HTML page."""
        from protoxai.explanations.report import explanation_page

        return explanation_page([self])

    def save(self, path: str | Path) -> None:
        """Write the explanation as a figure (.png, .svg, .pdf) or as a page (.html).

        Args:
            path: File to write; its suffix decides what is written.

        Raises:
            TypeError: If it is no path.
            ValueError: If the suffix is another one.
        """
        from protoxai.explanations.saving import save_explanation

        save_explanation(self, path)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers of the regions as plain values, for JSON."""
        from protoxai.explanations.saving import plain_values

        return plain_values(self)

    def __str__(self) -> str:
        return "\n".join(map(str, self.regions))

    def _repr_html_(self) -> str:
        from protoxai.explanations.saving import html_summary

        return html_summary(self)

    @cached_property
    def _baselines(self) -> Tensor:
        return baseline_logit(self.head)

    def _explain(self, mask: Tensor, class_index: int) -> RegionExplanation:
        values = RegionValues(self.head, self.output, mask)
        groups, others = class_groups(self.head, values, class_index, self.provenance)
        return RegionExplanation(
            class_index,
            self.class_names[class_index],
            mask,
            float(values.logits[class_index]),
            float(self._baselines[class_index]),
            groups,
            others,
        )

    def _predicted(self, name: str, class_index: int) -> Tensor:
        mask = self.prediction == class_index
        if not bool(mask.any()):
            raise ValueError(
                f"{name} is {class_index} ({self.class_names[class_index]}), which is predicted "
                f"nowhere in the image, expected one of {self.prediction.unique().tolist()}: for "
                "another class, give a region too"
            )
        return mask

    def _prototype(self, prototype: int) -> int:
        return whole("prototype", prototype, Range(least=0, most=len(self.head.table) - 1))
