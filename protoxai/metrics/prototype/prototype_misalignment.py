"""Prototype misalignment: whether a prototype's activation depends on the region shown for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from protoxai.heads.linear import check_class
from protoxai.labels import labels_at
from protoxai.metrics.base.checks import COUNT, SEED, THRESHOLD
from protoxai.metrics.base.per_image import Index, PerImageMetric
from protoxai.metrics.explanation.imputation import impute
from protoxai.metrics.prototype.active_prototypes import SMALLEST_GROUP_WEIGHT, active_prototypes
from protoxai.metrics.prototype.prototype_peaks import PrototypePeaks
from protoxai.metrics.prototype.shown_regions import control_areas
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import NOT_NEGATIVE, instance, number, whole
from protoxai.runtime.modes import evaluating
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped

STEPS = 40


class Misalignment(NamedTuple):
    """Misalignment of prototypes in one image; every field is (n,), float64.

    Attributes:
        kept_by_region: Share of the activation that is left if all but the region is imputed.
        lost_without_region: Share that is lost if the region is imputed.
        lost_without_control: Share that is lost if an equal area of the class elsewhere is imputed;
            NaN if the class has none.
        lost_to_adversary: Share that is lost to an adversary outside of the region.
        location_change: 1 - IoU of the regions shown in the image and in the adversary's.
        rank_change: Change of the prototype's rank by evidence in the adversary's image, over the
            number of other prototypes; NaN if there are none.
    """

    kept_by_region: Tensor
    lost_without_region: Tensor
    lost_without_control: Tensor
    lost_to_adversary: Tensor
    location_change: Tensor
    rank_change: Tensor


def prototype_misalignment(
    model: ScaleProtoSeg,
    image: Tensor,
    region: Tensor,
    prototypes: Tensor | Sequence[int],
    *,
    steps: int = STEPS,
    seed: int = 0,
    batch_size: int = 8,
) -> Misalignment:
    """Return how much prototypes depend on the regions that are shown for them in an image.

    A prototype is shown by the box of its active region
    (:func:`~protoxai.projection.active_region.active_region`) around the peak of its activation
    within its class. The activation at that peak is measured while pixels are imputed: all but the
    region, the region, and, as the control, as many of the class's pixels nearest to a random one
    outside of the region. Then an adversary changes the pixels outside of the region, each colour
    by at most 8/255, to lower the activation (Sacha et al., "Interpretability benchmark for
    evaluating spatial misalignment of prototypical parts explanations", AAAI 2024, arXiv
    2308.08162; Carmichael et al., "Pixel-grounded prototypical part networks", WACV 2024, arXiv
    2309.14531).

    Args:
        model: Prototype model in either stage; it runs in evaluation mode.
        image: Normalised image, (3, H, W) or (1, 3, H, W).
        region: Pixels of the prototypes' class, bool (H, W) or (1, H, W).
        prototypes: Indices (n,) of prototypes of one class, whose ranks are compared.
        steps: Number of the adversary's steps; without any its figures are NaN.
        seed: Seed of the control's place.
        batch_size: Largest number of images in the model at once.

    Returns:
        A value for each prototype; NaN for all if the class has no pixel on the feature grid.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If shapes do not fit, or the prototypes are of several classes.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 8, stride=8), 2, prototype_dim=4)
        >>> region = torch.ones(48, 48, dtype=torch.bool)
        >>> found = prototype_misalignment(model, torch.rand(3, 48, 48), region, [0, 6])
        >>> found.kept_by_region  # no pixel outside of a patch reaches its features
        tensor([1., 1.], dtype=torch.float64)
    """
    hint = "a model without prototypes shows none"
    model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
    image, region = _one_image(image, region)
    chosen = _of_one_class(model, prototypes)
    steps, seed = whole("steps", steps, NOT_NEGATIVE), whole("seed", seed, SEED)
    batch_size = whole("batch_size", batch_size, COUNT)
    device = model.prototype_layer.prototypes.device
    image, region = image.to(device), region.to(device)
    with evaluating(model):
        with torch.no_grad():
            output = model(image[None])
        grid = (output.activations.shape[2], output.activations.shape[3])
        if not bool(labels_at(region, grid).any()):
            return Misalignment(*torch.full((6, len(chosen)), torch.nan, dtype=torch.float64))
        peaks = PrototypePeaks(model, output, region, chosen.to(device))
        shown = peaks.shown.masks((image.shape[1], image.shape[2]))
        areas = control_areas(shown, region, seed)
        rows = [
            _measure(peaks, image, shown[some].to(device), areas[some].to(device), some, steps)
            for some in torch.arange(len(chosen)).split(batch_size)
        ]
    return Misalignment(*torch.cat(rows, 1).double().cpu())


def _measure(
    peaks: PrototypePeaks, image: Tensor, shown: Tensor, areas: Tensor, chosen: Tensor, steps: int
) -> Tensor:
    """Return the figures (6, m) of the chosen prototypes (m,), whose images are one batch.

    Args:
        peaks: All prototypes in the image.
        image: Image (C, H, W).
        shown: Region of each chosen prototype, bool (m, H, W).
        areas: Control area of each, bool (m, H, W).
        chosen: Places of the prototypes among all.
        steps: Number of the adversary's steps.
    """
    images = image.expand(len(chosen), -1, -1, -1)
    kept, without, control = (
        peaks.remaining(impute(images, known), chosen) for known in (shown, ~shown, ~areas)
    )
    control = control.masked_fill(~areas.any(2).any(1), torch.nan)
    attacked = torch.full((3, len(chosen)), torch.nan).to(kept)
    if steps:
        attacked = peaks.attacked(images, ~shown, chosen, steps)
    return torch.cat([torch.stack([kept, 1 - without, 1 - control]), attacked])


def _one_image(image: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Return an image (C, H, W) and its region (H, W), or raise an error if they are no such."""
    tensor("image", image, "... channels height width", sizes={"channels": 3})
    tensor("region", region, "... height width", "bool")
    shapes = f"image has shape {tuple(image.shape)}, region {tuple(region.shape)}"
    if image.dim() == 4 and len(image) == 1:
        image = image[0]
    if region.dim() == 3 and len(region) == 1:
        region = region[0]
    if image.dim() != 3 or image.shape[1:] != region.shape:
        raise ValueError(
            f"{shapes}; expected one image (channels, height, width) and its region (height, "
            "width), as in labels == 3"
        )
    return image, region


def _of_one_class(model: ScaleProtoSeg, prototypes: Tensor | Sequence[int]) -> Tensor:
    """Return indices of prototypes, or raise an error unless they are of one class."""
    model.table.check_kept(prototypes)
    indices = torch.as_tensor(prototypes).long().cpu()
    classes = model.table.class_index[indices].unique().tolist()
    if len(classes) > 1:
        raise ValueError(
            f"prototypes are of the classes {classes}, expected one class: call it for each"
        )
    return indices


class PrototypeMisalignment(PerImageMetric):
    """Misalignment of a class's active prototypes with the regions shown for them, by image.

    A value is the mean over the prototypes. It is best if the region alone keeps the activation
    (1), the image without it loses it (1; the control says how much of this any area of the class
    would), and what is not shown can change nothing (0). See :func:`prototype_misalignment`.

    Args:
        steps: Number of the adversary's steps; without any its figures are NaN.
        threshold: Smallest group weight that makes a prototype active, see
            :func:`active_prototypes`.
        batch_size: Largest number of images in the model at once.
        **options: Options of :class:`PerImageMetric`.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 8, stride=8), 2, prototype_dim=4)
        >>> metric = PrototypeMisalignment(steps=2)
        >>> region = torch.ones(48, 48, dtype=torch.bool)
        >>> metric.update(model, torch.rand(3, 48, 48), region, class_index=1, index=0)
        >>> round(float(metric.compute()["kept_by_region"]), 3)
        1.0
    """

    figures: ClassVar[dict[str, bool | None]] = {
        "kept_by_region": True,
        "lost_without_region": True,
        "lost_without_control": None,
        "lost_to_adversary": False,
        "location_change": False,
        "rank_change": False,
    }
    higher_is_better = True

    def __init__(
        self,
        steps: int = STEPS,
        *,
        threshold: float = SMALLEST_GROUP_WEIGHT,
        batch_size: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.steps = whole("steps", steps, NOT_NEGATIVE)
        self.threshold = number("threshold", threshold, THRESHOLD)
        self.batch_size = whole("batch_size", batch_size, COUNT)

    def update(
        self,
        model: ScaleProtoSeg,
        image: Tensor,
        region: Tensor,
        class_index: int,
        index: Index = None,
    ) -> None:
        """Add one image and a class.

        Args:
            model: Prototype model in either stage.
            image: Normalised image, (3, H, W) or (1, 3, H, W).
            region: Pixels of the class, bool (H, W) or (1, H, W).
            class_index: The class; without an active prototype its values are NaN.
            index: Index of the task.
        """
        model = instance("model", unwrapped(model), ScaleProtoSeg)
        indices = self.image_indices(index, 1)
        class_index = check_class(class_index, model.num_classes)
        active = active_prototypes(model.head, self.threshold).cpu()
        own = active[model.table.class_index[active] == class_index]
        values = torch.full((6,), torch.nan, dtype=torch.float64)
        if len(own):
            found = prototype_misalignment(
                model,
                image,
                region,
                own,
                steps=self.steps,
                seed=self.seed + int(indices),
                batch_size=self.batch_size,
            )
            values = torch.stack(found).nanmean(1)
        self.add_values(values[None], indices)
