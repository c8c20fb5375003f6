"""Parts of an object that a prototype is active on, and the base of the metrics of parts."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from protoxai.labels import labels_at
from protoxai.metrics.base.per_image import PerImageMetric
from protoxai.prototypes.table import PrototypeTable, check_table
from protoxai.runtime.checks import Range, wholes_of
from protoxai.runtime.components import connected_components
from protoxai.runtime.tensors import tensor

QUANTILE = 0.8


@torch.no_grad()
def part_hits(
    activations: Tensor,
    labels: Tensor,
    parts: Tensor,
    table: PrototypeTable,
    part_class: Sequence[int],
) -> Tensor:
    """Return the parts of its own class that each prototype hits in each image.

    A prototype is active at the class's pixels where its activation, resized to the labels
    (nearest), reaches its 0.8 quantile over these pixels. A part is hit if the prototype is active
    at the centroid of one of its components (8-connected, within the class). Source: Huang et al.,
    "Evaluation and improvement of interpretability for self-explainable part-prototype networks",
    ICCV 2023, section 3, as adapted to segmentation by Porta et al., WACV 2025.

    Args:
        activations: Activations of all prototypes (B, P, h, w).
        labels: Labels (B, H, W).
        parts: Part number of every pixel (B, H, W), 0 for none.
        table: Class and scale of each prototype.
        part_class: Class of each of the K part numbers; that of number 0 does not matter.

    Returns:
        Float (B, P, K): 1 where hit, 0 where missed, NaN where the image does not show the part or
        the part is not of the prototype's class.

    Raises:
        ValueError: If shapes do not fit, or a part number has no class.

    Example:
        >>> import torch
        >>> from protoxai import PrototypeTable
        >>> activations = torch.tensor([[[[0.0, 0.0, 0.0, 0.0, 9.0]]]])
        >>> labels, parts = torch.zeros(1, 1, 5).long(), torch.tensor([[[1, 1, 0, 0, 2]]])
        >>> table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
        >>> part_hits(activations, labels, parts, table, part_class=(0, 0, 0))
        tensor([[[nan, 0., 1.]]])
    """
    check_table(table)
    part_class = _check_part_class(part_class, table)
    tensor(
        "activations",
        activations,
        "batch prototypes height width",
        sizes={"prototypes": len(table)},
    )
    hint = "one map for each image of the activations"
    tensor(
        "labels",
        labels,
        "batch height width",
        "integers",
        hint=hint,
        sizes={"batch": len(activations)},
    )
    tensor("parts", parts, "batch height width", "integers")
    _check_parts(parts, labels, part_class)
    size = (labels.shape[1], labels.shape[2])
    class_of = table.class_index
    hits = torch.full((len(labels), len(table), len(part_class)), torch.nan)
    for image, (own_labels, own_parts) in enumerate(zip(labels, parts, strict=True)):
        shown = own_parts.unique().tolist()
        for class_index in table.classes.tolist():
            pixels = own_labels == class_index
            numbers = [part for part in shown if part and part_class[part] == class_index]
            if not numbers or not bool(pixels.any()):
                continue
            own = class_of == class_index
            # In float32 a quantile may be larger than the value that it equals.
            maps = labels_at(activations[image, own.to(activations.device)].double(), size)
            least = torch.stack([row[pixels].quantile(QUANTILE) for row in maps])
            for part in numbers:
                rows, cols = centroids((own_parts == part) & pixels)
                if len(rows):
                    inside = (maps[:, rows, cols] >= least[:, None]) & pixels[rows, cols]
                    hits[image, own, part] = inside.any(1).float().cpu()
    return hits


def centroids(mask: Tensor) -> tuple[list[int], list[int]]:
    """Return rows and columns of the pixels nearest to the centroids of a mask's components."""
    from scipy import ndimage

    components, number = connected_components(mask.cpu().numpy())
    centres = ndimage.center_of_mass(components > 0, components, range(1, number + 1))
    return [math.floor(r + 0.5) for r, _ in centres], [math.floor(c + 0.5) for _, c in centres]


def own_parts(
    table: PrototypeTable, part_class: Sequence[int], active: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the pairs of a prototype and a part of its class.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number.
        active: Indices of the prototypes that count; None for all.
    """
    classes = torch.tensor(part_class)
    belongs = table.to("cpu").class_index[:, None] == classes
    belongs[:, 0] = False
    if active is not None:
        counts = torch.zeros(len(table), dtype=torch.bool)
        tensor("active", active, "prototypes", "integers")
        if active.numel() and not 0 <= int(active.min()) <= int(active.max()) < len(table):
            raise ValueError(
                f"active holds {int(active.min())} to {int(active.max())}, expected indices of "
                f"prototypes from 0 to {len(table) - 1}"
            )
        counts[active.cpu()] = True
        belongs &= counts[:, None]
    prototype, part = belongs.nonzero(as_tuple=True)
    return prototype, part


class PartMetric(PerImageMetric):
    """Base of the metrics of the parts that prototypes are active on; higher is better.

    Args:
        table: Class and scale of each prototype.
        part_class: Class of each part number, such as ``Shapes.part_class``.
        active: Indices of the prototypes that count, from ``active_prototypes``; None for all.
        **options: Options of :class:`PerImageMetric`.
    """

    higher_is_better = True

    def __init__(
        self,
        table: PrototypeTable,
        part_class: Sequence[int],
        active: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.table = check_table(table).to("cpu")
        self.part_class = _check_part_class(part_class, table)
        self.active = active
        self._pairs = own_parts(self.table, self.part_class, active)
        self._width = self._values_per_image()

    @abstractmethod
    def _values_per_image(self) -> int:
        """Return the number of values that are kept of each image."""

    def _hits(self, activations: Tensor, labels: Tensor, parts: Tensor) -> Tensor:
        return part_hits(activations, labels, parts, self.table, self.part_class)


def check_hits(name: str, hits: Tensor, sizes: Mapping[str, int] | None = None) -> None:
    """Raise an error unless hits are (B, P, K) and hold 0, 1 and NaN alone."""
    tensor(name, hits, "images prototypes parts", hint="from part_hits", sizes=sizes)
    if not bool(((hits == 0) | (hits == 1) | hits.isnan()).all()):
        raise ValueError(f"{name} hold other values than 0, 1 and NaN: compute them by part_hits")


def _check_part_class(part_class: Sequence[int], table: PrototypeTable) -> tuple[int, ...]:
    classes = Range(least=0, most=table.num_classes - 1)
    return wholes_of("part_class", part_class, expected=classes)


def _check_parts(parts: Tensor, labels: Tensor, part_class: Sequence[int]) -> None:
    if parts.shape != labels.shape:
        raise ValueError(
            f"parts have shape {tuple(parts.shape)} and labels {tuple(labels.shape)}, expected the "
            "same (batch, height, width)"
        )
    if parts.numel() and not 0 <= int(parts.min()) <= int(parts.max()) < len(part_class):
        raise ValueError(
            f"parts hold numbers from {int(parts.min())} to {int(parts.max())}, expected 0 to "
            f"{len(part_class) - 1}: part_class names the class of every part number"
        )
