"""Why a region is its class, as a sum over prototypes."""

from __future__ import annotations

from typing import NamedTuple

from protoxai.explanations.explanation import Explanation
from protoxai.explanations.figures.marks import signed
from protoxai.explanations.regions import RegionExplanation


class Contribution(NamedTuple):
    """What a prototype adds to a region's class.

    Attributes:
        prototype: Index of the prototype.
        value: Contribution to the lead over the runner-up, or to the score.
    """

    prototype: int
    value: float


class Reasons(NamedTuple):
    """Why a region is its class, as a sum.

    Attributes:
        other: Name of the class with the next highest score; None if there is no other class.
        total: The sum.
        base: Part of it that no prototype is credited with.
        contributions: Those of the prototypes, by decreasing size.
    """

    other: str | None
    total: float
    base: float
    contributions: tuple[Contribution, ...]

    def terms(self, shown: int) -> str:
        """Return the terms of the sum: those shown, the rest, and the base.

        Args:
            shown: Number of contributions that are listed one by one.
        """
        terms = [signed(part.value) for part in self.contributions[:shown]]
        rest = self.contributions[shown:]
        if rest:
            terms.append(f"{signed(sum(part.value for part in rest))} ({len(rest)} more)")
        terms.append(f"{signed(self.base)} (base)")
        return "= " + " ".join(terms)


def reasons(explanation: Explanation, region: RegionExplanation) -> Reasons:
    """Return why a region is its class: the contrast with the runner-up, if there is another class.

    Args:
        explanation: Explanation of the image.
        region: One of its regions.
    """
    if len(explanation.class_names) < 2:
        own: dict[int, float] = {}
        for member in (member for group in region.groups for member in group.prototypes):
            own[member.prototype] = own.get(member.prototype, 0.0) + member.evidence
        parts = [Contribution(*item) for item in own.items()]
        parts.sort(key=lambda part: -abs(part.value))
        return Reasons(None, region.logit, region.baseline, tuple(parts))
    contrast = explanation.contrast(region.class_index, region=region.region)
    return Reasons(
        contrast.other_name,
        contrast.difference,
        contrast.baseline,
        tuple(Contribution(each.prototype, each.difference) for each in contrast.prototypes),
    )
