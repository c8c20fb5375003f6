"""Outcome of the sanity ladder: does a figure put explainers of known quality in their order?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.interpretability.rungs import NULL_MAPS
from protoxai.comparison import Comparison
from protoxai.comparison.measurements import LEVEL

OF_LABELS = (
    "pointing_game",
    "relevance_mass",
    "off_target_leakage",
    "other_class_leakage",
    "background_leakage",
)
"""Figures that compare a map with the labels, whatever the model: for them the truth is perfect.

They know where a map lies, but not the sign of its reasons: where a model has evidence against the
class within the object, the negative of its contributions lies on the object too. So
``perfect, inverted`` is not judged by them.
"""
SLACK = 0.1
"""Share of its lead over the null maps by which the perfect explainer may be behind. A map can
follow the model better, as removed pixels are imputed, than by its exact contributions."""

NO_ARROW: Mapping[str, str] = {
    "deletion": "depends on how smooth a map is as well: scattered pixels are imputed nearly as "
    "they were; in `faithfulness`, the difference, this cancels",
    "insertion": "the same as `deletion`",
    "other_class_leakage": "a model may use the other classes, and a map that shows it leaks",
    "perturbation_agreement": "a constant map predicts that larger squares have a larger effect, "
    "and is above the real explainers of a trained model",
    "part_sums": "a map that knows only the areas of the parts, as a constant one does, is nearly "
    "best: large parts have large sums and large effects",
    "target_sensitivity": "a check, which does not know which map is right: noise that is drawn "
    "anew for each class has 1",
    "sparseness": "depends on the form of a map alone: the inverted one has the same",
    "complexity": "the same as `sparseness`",
    "scale_spectrum": "the same as `sparseness`",
    "active_units": "counts units, whether they are right or not; groups of prototypes and "
    "channels do not mean the same",
    "effective_units": "the same as `active_units`",
    "max_sensitivity": "best for a map that never changes",
    "infidelity": "noise changes the score by the gradient, and contributions are gradient times "
    "value: the exact ones of a linear model predict it no better than noise does, and a constant "
    "map is better",
    "parameter_randomisation": "a check: it asks whether a map depends on the model, not whether "
    "it is right; a map and its negative have the same",
    "randomisation_passed": "the same as `parameter_randomisation`",
    "forward_passes": "the effort: noise is cheap",
    "backward_passes": "the effort: noise is cheap",
    "seconds": "the effort: noise is cheap",
    "peak_memory": "the effort: noise is cheap",
}
"""Figures that only describe, and why they cannot rank."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a figure.

    Attributes:
        perfect: Name of the perfect explainer; empty if none is known or the figure is undefined.
        real: Name of the best real explainer; empty if none has the figure.
        null: Name of the best null map; empty if none has the figure.
        failures: Why the ladder does not stand; empty if it stands.
        behind: Real explainers, other than the best, that are not above every null map, each with
            the null maps that it is not above, or with the largest p.
    """

    perfect: str
    real: str
    null: str
    failures: tuple[str, ...]
    behind: tuple[str, ...]

    @property
    def stands(self) -> bool:
        """Whether the explainers of known quality are in their order."""
        return not self.failures

    def __str__(self) -> str:
        if self.failures:
            return "fails: " + "; ".join(self.failures)
        if self.behind:
            return f"**stands** for the best real explainer; not for: {', '.join(self.behind)}"
        return "**stands**"


def outcome(table: Comparison, figure: str, up: bool = True) -> Outcome:
    """Judge a figure by the rungs of one model.

    The ladder stands if the perfect explainer is first, up to a slack; if it and the best real
    explainer are above every null map, by a paired sign-flip test each; and if the inverted one is
    above none. All have to hold, so no correction for their number is due. A null map for which the
    figure is undefined does not compete. How good the other real explainers are is not known, so
    that it is no failure of the figure if they are not above every null map; they are named.

    Args:
        table: The measured rungs, from :func:`~benchmarks.interpretability.rungs.rungs`.
        figure: Name of the figure.
        up: Whether a higher value is taken for better.
    """
    [block] = table.blocks()
    sign = 1 if up else -1
    names = {block.short(name): name for name in table.explainers}
    worths = {
        short: sign * value.mean for short, name in names.items() if (value := table[name, figure])
    }
    best = "truth" if figure in OF_LABELS else "perfect"
    best = best if best in worths else ""
    real = sorted(
        (block.short(name) for name in block.explainers if block.short(name) in worths),
        key=lambda name: -worths[name],
    )
    null = sorted((name for name in NULL_MAPS if name in worths), key=lambda name: -worths[name])
    if not real or not null:
        why = f"no {'null map' if real else 'real explainer'} has the figure"
        return Outcome(best, real[0] if real else "", null[0] if null else "", (why,), ())

    def differences(name: str) -> list[tuple[str, float, float]]:
        """Return each null map, and the lead over it with its p value."""
        found = [(other, table.difference(names[name], names[other], figure)) for other in null]
        return [(other, sign * each.mean, each.p) for other, each in found]

    failures = list(_order(worths, best, real, null)) if best else []
    for name in filter(None, (best, real[0])):
        failures += _below(name, differences(name))
    behind = filter(None, (_shortfall(name, differences(name)) for name in real[1:]))
    return Outcome(best, real[0], null[0], tuple(failures), tuple(behind))


def _below(name: str, differences: list[tuple[str, float, float]]) -> Iterator[str]:
    """Yield each null map that an explainer is not above."""
    for other, lead, p in differences:
        if not lead > 0:
            yield f"{name} is not above {other}"
        elif not p < LEVEL:
            yield f"{name} is not significantly above {other} (p = {p:.2g})"


def _shortfall(name: str, differences: list[tuple[str, float, float]]) -> str:
    """Return an explainer and why it is not above every null map; empty if it is."""
    not_above = [other for other, lead, _ in differences if not lead > 0]
    if not_above:
        return f"{name} (not above {', '.join(not_above)})"
    unclear = [p for _, _, p in differences if not p < LEVEL]
    return f"{name} (p = {max(unclear):.2g})" if unclear else ""


def _order(
    worths: Mapping[str, float], best: str, real: list[str], null: list[str]
) -> Iterator[str]:
    """Yield each explainer that is above one of better quality."""
    slack = SLACK * max(worths[best] - worths[null[0]], 0)
    for name in real:
        if worths[name] > worths[best] + slack:
            yield f"{name} is above {best}"
    for name in null:
        if worths.get(f"{best}, inverted", -math.inf) > worths[name] + slack:
            yield f"the inverted {best} is above {name}"
