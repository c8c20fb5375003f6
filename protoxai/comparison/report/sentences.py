"""The result of a comparison in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from protoxai.comparison.block import Block
from protoxai.comparison.measurements import Measurements, distinguished
from protoxai.comparison.report.headlines import BETWEEN_MODELS, CONCLUSIVE, SHOWN
from protoxai.comparison.report.numbers import with_interval
from protoxai.metrics.base.intervals import LEAST_GROUPS
from protoxai.metrics.base.paired import Difference

LEGEND = (
    "Differences are paired on tasks, with 95 % intervals over groups and p values of sign-flip "
    "tests, which Holm's method corrects for their number. So an interval without 0 is not enough "
    "to distinguish two explainers."
)


def sentences(measured: Measurements) -> list[str]:
    """Return what a comparison shows: who is better than whom, and who cannot be distinguished.

    The first explainer of each model is compared with the model's others and with the reference
    maps, by the figures that can tell a good explanation from a bad one; the first explainers of
    the models are compared by the figures that do not depend on the model.

    Args:
        measured: Measurements of the comparison.
    """
    figures = [figure for figure in CONCLUSIVE if figure in measured.figures]
    lines = []
    for block in measured.blocks():
        others = [n for n in block.explainers + block.references if n != block.chosen]
        for figure in figures if block.explainers else ():
            family = measured.family(block.chosen, others, figure)
            title = f"{block.model}, {figure}: " if block.model else f"{figure}: "
            if any(measured[n, figure] for n in others) and not measured[block.chosen, figure]:
                lines.append(f"{title}{block.short(block.chosen)} has no value.")
            elif family:
                names = {name: _shown(block.short(name)) for name in family}
                subject = block.short(block.chosen)
                lines.append(title + _sentence(measured, subject, figure, family, names))
    return lines + list(_between_models(measured))


def _between_models(measured: Measurements) -> Iterator[str]:
    blocks = {block.chosen: block for block in measured.blocks()}
    for figure in BETWEEN_MODELS:
        for (chosen, other), difference in measured.between_models(figure).items():
            family, names = {other: difference}, {other: _full(blocks[other])}
            yield f"Between models, {figure}: " + _sentence(
                measured, _full(blocks[chosen]), figure, family, names
            )


def _full(block: Block) -> str:
    return f"{block.short(block.chosen)} of {block.model}" if block.model else block.chosen


def _sentence(
    measured: Measurements,
    subject: str,
    figure: str,
    family: Mapping[str, Difference],
    names: Mapping[str, str],
) -> str:
    tasks = {(difference.tasks, difference.groups) for difference in family.values()}
    noun = measured.group_noun if any(n != groups for n, groups in tasks) else "tasks"
    shared = _count(*tasks.pop(), noun) if len(tasks) == 1 else ""
    start = f"on {shared}, {subject} is " if shared else f"{subject} is "
    better, worse = CONCLUSIVE[figure]
    tested = {name: d for name, d in family.items() if d.groups >= LEAST_GROUPS}
    few = {name: d for name, d in family.items() if name not in tested}
    parts = []
    for words, sign in ((f"{better} than", 1), (f"{worse} than", -1)):
        own = {n: d for n, d in tested.items() if distinguished(d) and sign * d.mean > 0}
        if own:
            p = max(difference.p for difference in own.values())
            listed = [
                f"{names[name]} by {_interval(difference, sign, shared)}"
                for name, difference in own.items()
            ]
            limit = "p" if len(own) == 1 else "all p"
            parts.append(f"{words} {_and(listed)} ({limit} {_p(p, len(own))})")
    same = [name for name, difference in tested.items() if difference.ties == difference.tasks]
    alike = {n: d for n, d in tested.items() if n not in same and not distinguished(d)}
    if same:
        parts.append(f"equal to {_and([names[name] for name in same])} on every task")
    if alike:
        listed = [f"{names[n]} ({_interval(d, 1, shared)})" for n, d in alike.items()]
        parts.append(f"not distinguishable from {_and(listed)}")
    if few:
        wins = [
            f"{names[name]} on {d.wins} of {_number(d.tasks, 'tasks')} ({d.losses} worse, {d.ties} "
            "equal)"
            for name, d in few.items()
        ]
        parts.append(f"{better} than {_and(wins)}")
        groups = max(d.groups for d in few.values())
        allow = "allows" if groups == 1 else "allow"
        parts.append(f"{_number(groups, noun)} {allow} no interval and no test")
    return f"{start}{'; '.join(parts)}.{_power(tested, noun)}"


def _interval(difference: Difference, sign: int, shared: str) -> str:
    mean, low, high = (sign * value for value in difference[:3])
    low, high = min(low, high), max(low, high)
    text = with_interval(mean, low, high)
    return text if shared else f"{text}, n = {difference.tasks}"


def _power(tested: Mapping[str, Difference], noun: str) -> str:
    """Return which difference the number of groups can resolve."""
    if tested and all(math.isnan(d.resolvable) for d in tested.values()):
        return f" With so few {noun}, the test could not have distinguished any difference."
    known = [d.resolvable for d in tested.values() if d.resolvable > 0]
    if not known:
        return ""
    low, high = (f"{value:.2g}" for value in (min(known), max(known)))
    values = low if low == high else f"{low} to {high}, depending on the pair,"
    return f" Differences of {values} would be found four times in five."


def _count(tasks: int, groups: int, noun: str) -> str:
    counted = _number(tasks, "tasks")
    return counted if tasks == groups else f"{counted} in {_number(groups, noun)}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun.removesuffix('s') if number == 1 else noun}"


def _p(p: float, number: int) -> str:
    if p < 0.001:
        return "< 0.001"
    return f"{'=' if number == 1 else '≤'} {p:.2g}"


def _shown(name: str) -> str:
    return SHOWN.get(name, name)


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
