"""What an edit changes in the explanation of an image, prototype by prototype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protoxai.attribution.evidence import baseline_logit
from protoxai.explanations.explanation import Explanation
from protoxai.explanations.region_values import RegionValues
from protoxai.runtime.checks import Range, instance, wholes_of

SHOWN = 5
"""Number of prototypes that the text names for each region."""


@dataclass(frozen=True)
class EvidenceChange:
    """The evidence of a prototype before and after an edit.

    Attributes:
        prototype: Index of the prototype in the model before.
        class_name: Name of the prototype's class.
        scale: Scale of the prototype.
        removed: Whether the edit has removed it.
        before: Its evidence for the region's class, averaged over the region.
        after: The same after the edit; 0 if it was removed.
    """

    prototype: int
    class_name: str
    scale: int
    removed: bool
    before: float
    after: float

    @property
    def change(self) -> float:
        """What the edit adds to the evidence."""
        return self.after - self.before


@dataclass(frozen=True)
class RegionChange:
    """What an edit changes over the pixels that were predicted as one class.

    The change of the logit is that of the baseline plus those of all prototypes.

    Attributes:
        class_index: Index of the class.
        class_name: Name of the class.
        area: Share of the image that was predicted as the class, in (0, 1].
        kept: Share of these pixels that still are, in [0, 1].
        logit: Logit of the class, averaged over the pixels, before and after.
        baseline: Logit where no prototype is active, before and after.
        prototypes: The prototypes of all classes, by decreasing size of their change.
    """

    class_index: int
    class_name: str
    area: float
    kept: float
    logit: tuple[float, float]
    baseline: tuple[float, float]
    prototypes: tuple[EvidenceChange, ...]


@dataclass(frozen=True)
class ExplanationChange:
    """What an edit changes in the explanation of an image.

    Attributes:
        before: Explanation by the model before.
        after: Explanation by the new model.
        relabelled: Share of the pixels that are predicted as another class, in [0, 1].
        regions: What changes over the pixels that each class was predicted at, by decreasing area.
    """

    before: Explanation
    after: Explanation
    relabelled: float
    regions: tuple[RegionChange, ...]

    def to_text(self) -> str:
        """Return the largest changes of each region, for a terminal."""
        lines = [f"{self.relabelled:.1%} of the image's pixels are predicted as another class"]
        for region in self.regions:
            lines.append(
                f"{region.class_name}: {region.area:.1%} of the image, {region.kept:.1%} of it "
                f"kept; logit {region.logit[0]:.2f} -> {region.logit[1]:.2f}, of it base "
                f"{region.baseline[0]:.2f} -> {region.baseline[1]:.2f}"
            )
            lines.extend(
                f"  prototype {each.prototype} ({each.class_name}, scale {each.scale + 1}"
                f"{', removed' if each.removed else ''}): {each.before:+.2f} -> {each.after:+.2f}"
                for each in region.prototypes[:SHOWN]
                if abs(each.change) >= 0.005
            )
        return "\n".join(lines)


def explanation_change(
    before: Explanation, after: Explanation, removed: Sequence[int]
) -> ExplanationChange:
    """Compare the explanations of an image by a model and by the same without some prototypes.

    Args:
        before: Explanation by the model.
        after: Explanation of the same image by ``model.without(removed)``, refitted or not.
        removed: Indices of the removed prototypes, in the model before.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the explanations are not of one image and such models.

    Example:
        >>> import torch
        >>> from protoxai import ScaleProtoSeg, explain
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> image, edited = torch.randn(3, 32, 40), model.without([3])
        >>> change = explanation_change(explain(model, image), explain(edited, image), [3])
        >>> region = change.regions[0]
        >>> region.prototypes[0].prototype, region.prototypes[0].removed
        (3, True)
    """
    for name, explanation in (("before", before), ("after", after)):
        instance(name, explanation, Explanation, "explain(model, image)")
    count = len(before.prototypes)
    gone = set(wholes_of("removed", removed, expected=Range(least=0, most=count - 1)))
    kept = [p for p in range(count) if p not in gone]
    if before.size != after.size or len(kept) != len(after.prototypes):
        raise ValueError(
            f"before has {count} prototypes and size {before.size}, after has "
            f"{len(after.prototypes)} and size {after.size}, with {len(gone)} removed: "
            "give explanations of one image by a model and by the same without these prototypes"
        )
    relabelled = float((before.prediction != after.prediction).float().mean())
    regions = tuple(
        _region_change(before, after, kept, region.class_index) for region in before.regions
    )
    return ExplanationChange(before, after, relabelled, regions)


def _region_change(
    before: Explanation, after: Explanation, kept: Sequence[int], class_index: int
) -> RegionChange:
    mask = before.prediction == class_index
    first, second = (RegionValues(each.head, each.output, mask) for each in (before, after))
    evidence = first.prototypes(class_index).tolist()
    left = dict(zip(kept, second.prototypes(class_index).tolist(), strict=True))
    scales, classes = (
        getattr(before.head.table, name).tolist() for name in ("scale_index", "class_index")
    )
    changes = [
        EvidenceChange(
            index,
            before.class_names[classes[index]],
            scales[index],
            index not in left,
            value,
            left.get(index, 0.0),
        )
        for index, value in enumerate(evidence)
    ]
    first_base, second_base = (baseline_logit(each.head)[class_index] for each in (before, after))
    return RegionChange(
        class_index,
        before.class_names[class_index],
        float(mask.float().mean()),
        float((after.prediction[mask] == class_index).float().mean()),
        (float(first.logits[class_index]), float(second.logits[class_index])),
        (float(first_base), float(second_base)),
        tuple(sorted(changes, key=lambda each: -abs(each.change))),
    )
