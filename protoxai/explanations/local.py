"""Explanation of one image: the groups and prototypes behind each predicted class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from protoxai.attribution import baseline_logit, member_evidence, region_weights, unit_evidence
from protoxai.attribution.target import IMAGE_HINT
from protoxai.heads.groups import SparseGroupHead
from protoxai.model.finiteness import check_result
from protoxai.model.outputs import SegmentationOutput
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.prototypes.provenance import Provenance
from protoxai.runtime.checks import instance
from protoxai.runtime.finite import check_finite_weights, check_images
from protoxai.runtime.modes import evaluating
from protoxai.runtime.tensors import tensor
from protoxai.runtime.wrappers import unwrapped


@dataclass(frozen=True)
class PrototypeEvidence:
    """Evidence of one prototype for a region's class.

    Attributes:
        prototype: Index of the prototype.
        scale: Scale of the prototype.
        evidence: Contribution to the logit, averaged over the region.
        weight: Weight of the prototype in the group (1 in stage 1).
        provenance: Training patch that the prototype shows, if the model was projected.
    """

    prototype: int
    scale: int
    evidence: float
    weight: float
    provenance: Provenance | None


@dataclass(frozen=True)
class GroupEvidence:
    """Evidence of one group for a region's class. In stage 1 each prototype is its own group.

    Attributes:
        group: Index of the group.
        evidence: Contribution to the logit, averaged over the region.
        prototypes: Prototypes with a weight in the group, by decreasing evidence; their evidence
            sums to the group's.
    """

    group: int
    evidence: float
    prototypes: tuple[PrototypeEvidence, ...]


@dataclass(frozen=True)
class RegionExplanation:
    """Explanation of a region, the pixels predicted as one class.

    Attributes:
        class_index: Index of the class.
        class_name: Name of the class.
        region: Pixels predicted as the class, bool (H, W).
        logit: Logit of the class, averaged over the region: ``baseline`` plus all evidence.
        baseline: Logit where no prototype is active, which no group is credited with.
        groups: Groups of the class, by decreasing evidence.
        other_evidence: Sum of the evidence of all groups of other classes (mostly negative).
    """

    class_index: int
    class_name: str
    region: Tensor
    logit: float
    baseline: float
    groups: tuple[GroupEvidence, ...]
    other_evidence: float


@dataclass(frozen=True)
class Explanation:
    """An image, its segmentation, and the explanation of each region.

    Attributes:
        image: RGB image (3, H, W), in [0, 1].
        prediction: Predicted labels, int64 (H, W).
        class_names: Names of all classes.
        regions: Explanation of each predicted class, by decreasing area.
    """

    image: Tensor
    prediction: Tensor
    class_names: tuple[str, ...]
    regions: tuple[RegionExplanation, ...]

    def __str__(self) -> str:
        lines = []
        for region in self.regions:
            share = float(region.region.float().mean())
            lines.append(f"{region.class_name}: {share:.1%} of the image, logit {region.logit:.2f}")
            for group in region.groups:
                members = ", ".join(
                    f"{p.prototype} (scale {p.scale + 1}, {p.evidence:+.2f})"
                    for p in group.prototypes
                )
                lines.append(f"  group {group.group}: {group.evidence:+.2f} from {members}")
        return "\n".join(lines)


@torch.no_grad()
def explain(model: ScaleProtoSeg, image: Tensor) -> Explanation:
    """Explain the segmentation of one image.

    Every number is exact: a region's logit is its baseline plus the evidence of all groups, and a
    group's evidence is the sum of its prototypes' evidence.

    Args:
        model: Model in either stage.
        image: Normalised image, (3, H, W) or (1, 3, H, W).

    Returns:
        The explanation, on the CPU.

    Raises:
        TypeError: If the model has no prototypes.
        ValueError: If the image has another shape.
        NotFiniteError: If the image, a weight or a result is NaN or infinite.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> explanation = explain(model, torch.rand(3, 32, 40))
        >>> region = explanation.regions[0]
        >>> total = region.baseline + region.other_evidence + sum(g.evidence for g in region.groups)
        >>> abs(total - region.logit) < 1e-3
        True
    """
    hint = "a model without prototypes has no evidence to show"
    model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
    tensor("image", image, "... channels height width", hint=IMAGE_HINT, sizes={"channels": 3})
    if image.dim() == 3:
        image = image[None]
    if image.dim() != 4 or image.shape[:2] != (1, 3):
        raise ValueError(
            f"image has shape {tuple(image.shape)}, expected one image (3, H, W): explain a batch "
            "image by image"
        )
    check_finite_weights(model)
    check_images(image)
    with evaluating(model):
        output = model.forward_embedding(
            model.embed(image.to(model.prototype_layer.prototypes.device))
        )
        check_result(model, image, output.logits)
    prediction = predicted_labels(output.logits, image.shape[2:])[0]
    classes, sizes = prediction.unique(return_counts=True)
    by_size = classes[sizes.argsort(descending=True, stable=True)].tolist()
    regions = tuple(
        _explain_region(model, output, prediction == class_index, class_index)
        for class_index in by_size
    )
    mean, std = (
        torch.tensor(v, device=image.device)[:, None, None] for v in (model.mean, model.std)
    )
    shown = (image[0].float() * std + mean).clamp(0, 1)
    return Explanation(shown.cpu(), prediction.cpu(), _class_names(model), regions)


def _class_names(model: ScaleProtoSeg) -> tuple[str, ...]:
    return model.class_names or tuple(f"class {c}" for c in range(model.num_classes))


def _explain_region(
    model: ScaleProtoSeg, output: SegmentationOutput, region: Tensor, class_index: int
) -> RegionExplanation:
    grid = (output.logits.shape[2], output.logits.shape[3])
    weights = region_weights(region, grid).to(output.logits)
    units = (unit_evidence(model.head, output, class_index)[0] * weights).sum((1, 2))
    groups = _groups(model, output, class_index, weights, units)
    return RegionExplanation(
        class_index,
        _class_names(model)[class_index],
        region.cpu(),
        float((output.logits[0, class_index] * weights).sum()),
        float(baseline_logit(model.head)[class_index]),
        groups,
        float(units.sum()) - sum(group.evidence for group in groups),
    )


def _groups(
    model: ScaleProtoSeg,
    output: SegmentationOutput,
    class_index: int,
    weights: Tensor,
    units: Tensor,
) -> tuple[GroupEvidence, ...]:
    """Return the groups of a class by decreasing evidence."""
    head = model.head
    prototypes = (model.table.class_index == class_index).nonzero().flatten().tolist()
    if isinstance(head, SparseGroupHead):
        indices = (head.group_class == class_index).nonzero().flatten().tolist()
        member_weights = head.group_weights(class_index).tolist()
        shares = member_evidence(head, output, class_index, weights).tolist()
    else:
        # In stage 1 each prototype is its own group.
        indices = prototypes
        member_weights = torch.eye(len(prototypes)).tolist()
        shares = units[prototypes].diag().tolist()
    scales = model.table.scale_index.tolist()
    groups = []
    for index, row, evidence in zip(indices, member_weights, shares, strict=True):
        members = [
            PrototypeEvidence(
                p, scales[p], share, weight, model.provenance[p] if model.provenance else None
            )
            for p, weight, share in zip(prototypes, row, evidence, strict=True)
            if weight > 0
        ]
        members.sort(key=lambda member: -member.evidence)
        groups.append(GroupEvidence(index, float(units[index]), tuple(members)))
    return tuple(sorted(groups, key=lambda group: -group.evidence))
