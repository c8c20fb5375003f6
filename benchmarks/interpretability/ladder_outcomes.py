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
"""Figures that compare a map with the labels, whatever the model: for them the truth is perfect."""
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
    "target_sensitivity": "a check, which does not know which map is right: noise that is drawn "
    "anew for each class has 1",
    "sparseness": "depends on the form of a map alone: the inverted one has the same",
    "complexity": "the same as `sparseness`",
    "scale_spectrum": "the same as `sparseness`",
    "active_units": "counts units, whether they are right or not; groups of prototypes and "
    "channels do not mean the same",
    "effective_units": "the same as `active_units`",
    "max_sensitivity": "best for a map that never changes",
    "infidelity": "noise on all pixels: no map predicts its effect on a model far from linear",
    "parameter_randomisation": "a check: noise that is drawn anew passes",
    "randomisation_passed": "a check: noise that is drawn anew passes",
    "forward_passes": "the effort: noise is cheap",
    "backward_passes": "the effort: noise is cheap",
    "seconds": "the effort: noise is cheap",
    "peak_memory": "the effort: noise is cheap",
}
"""Figures that only describe, and why they cannot rank."""
KEEPS_ARROW: Mapping[str, str] = {
    "part_intervention": "the explainers of known quality are in their order, and a map that knows "
    "only the areas of the parts has 0. That the real explainers of a trained model are not above "
    "it is a finding about them, on few tasks with three parts or more",
}
"""Figures that have an arrow although real explainers are not above the null maps, and why."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a figure.

    Attributes:
        perfect: Name of the perfect explainer; empty if none is known or the figure is undefined.
        real: Name of the best real explainer; empty if none has the figure.
        null: Name of the best null map; empty if none has the figure.
        failures: Why the ladder does not stand; empty if it stands.
        behind: Real explainers, other than the best, that are not above a null map, and why.
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
        return "; but ".join(["**stands**", *(["; ".join(self.behind)] if self.behind else [])])


def outcome(table: Comparison, figure: str, up: bool = True) -> Outcome:
    """Judge a figure by the rungs of one model.

    The ladder stands if the perfect explainer is first, up to a slack; if it and the best real
    explainer are above every null map, by a paired sign-flip test each; and if the inverted one is
    above none. All have to hold, so no correction for their number is due. A null map for which the
    figure is undefined does not compete. How good the other real explainers are is not known; those
    that are not above every null map are named.

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

    def below(name: str) -> Iterator[str]:
        """Yield each null map that an explainer is not above."""
        for other in null:
            found = table.difference(names[name], names[other], figure)
            if not sign * found.mean > 0:
                yield f"{name} is not above {other}"
            elif not found.p < LEVEL:
                yield f"{name} is not significantly above {other} (p = {found.p:.2g})"

    failures = list(_order(worths, best, real, null)) if best else []
    for name in filter(None, (best, real[0])):
        failures += below(name)
    behind = [text for name in real[1:] for text in below(name)]
    return Outcome(best, real[0], null[0], tuple(failures), tuple(behind))


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
