"""Tables of the sanity ladder, from its stored results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.interpretability import detectors, records
from benchmarks.interpretability.ladder_outcomes import NO_ARROW, OF_LABELS, Outcome, outcome
from benchmarks.interpretability.rungs import NOISES
from protoxai.comparison import Comparison
from protoxai.comparison.report.numbers import with_interval
from protoxai.metrics import Estimate
from protoxai.metrics.base.paired import Difference
from protoxai.runtime.files import read_json
from protoxai.runtime.text_tables import markdown_table

TITLES = {
    "known": "The model whose reasons are known",
    "shapes": "{}, trained on Shapes",
    "camvid": "{}, trained on CamVid",
}
"""Titles by the data of a model."""
RANKED, RANDOMISED, NOISE = ("known", "shapes", "removal"), "randomisation", ("noise", "camvid")
"""Kinds of ladders: those that rank, the one of shuffled layers, and those of noise."""
ABOUT = {"removal": ": parts removed", RANDOMISED: ": shuffled layers"}
"""What the sections of some kinds are about."""
PARTS = "part-detectors.json"
FAITHFULNESS = ("faithfulness", "patch_faithfulness", "context_faithfulness")
HEADLINES = (*FAITHFULNESS, "relevance_mass", "part_intervention")
"""Figures that are shown of all rungs."""
BOUND = 0.03
"""Largest difference of smooth and pixel noise that a figure of faithfulness is to have."""


class Ladder(NamedTuple):
    """A measured ladder.

    Attributes:
        kind: Which of the ladders it is.
        table: What was measured.
        conditions: Versions and threads, as part of a sentence.
        content: All that was stored.
    """

    kind: str
    table: Comparison
    conditions: str
    content: Mapping[str, Any]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.table.blocks()[0].model

    @property
    def title(self) -> str:
        """Name of the model with its data."""
        return TITLES[self.content.get("data", self.kind)].format(self.model)

    @property
    def heading(self) -> str:
        """Heading of the ladder's section."""
        return self.title + ABOUT.get(self.kind, "")

    @property
    def measured(self) -> str:
        """What the ladder was measured on, in sentences."""
        table, content = self.table, self.content
        images = len({name.image for name in table.tasks})
        text = f"{len(table.tasks)} tasks on {images} images, seed {table.seed}; {self.conditions}."
        if "scores" in content:
            text += f" The model, of seed {content['model_seed']}: {content['scores']}."
        return text


def read(path: Path) -> Ladder:
    """Return a stored ladder."""
    record = records.read(path)
    return Ladder(record.content["ladder"], record.table, record.conditions, record.content)


def ladders_in(results: Path) -> list[Ladder]:
    """Return all stored ladders but that of the detectors, in the order of the page.

    Args:
        results: Folder of the stored ladders.
    """
    kinds = (*RANKED, RANDOMISED, *NOISE)
    found = [read(path) for path in sorted(results.glob("ladder-*.json"))]
    return sorted(found, key=lambda ladder: kinds.index(ladder.kind))


def tables(results: Path) -> str:
    """Return the tables of all ladders that are stored.

    Args:
        results: Folder of the stored ladders.
    """
    ladders = ladders_in(results)
    ranked = [ladder for ladder in ladders if ladder.kind in RANKED]
    shuffled = [ladder for ladder in ladders if ladder.kind == RANDOMISED]
    noise = [ladder for ladder in ladders if ladder.kind in NOISE]
    sections = [
        _summary([*ranked, *shuffled]),
        *map(_section, ranked),
        *map(_shuffled, shuffled),
    ]
    if noise:
        sections.append(_noise(noise))
    if (results / PARTS).exists():
        sections.append(_parts(read_json(results / PARTS)))
    return "\n".join(sections)


def _summary(ladders: list[Ladder]) -> str:
    lines = [["figure", "better", "outcome"]]
    figures = {name: up for ladder in ladders for name, up in ladder.table.figures.items()}
    for figure, up in figures.items():
        text = f"no arrow: {NO_ARROW.get(figure, 'it only describes')}"
        if up is not None:
            text = ". ".join(
                f"{ladder.title}: {outcome(ladder.table, figure, up)}"
                for ladder in ladders
                if figure in ladder.table.figures
            )
        lines.append([f"`{figure}`", _direction(up), text])
    return f"### Outcome\n\n{markdown_table(lines)}"


def _section(ladder: Ladder) -> str:
    columns = ["perfect", "best real explainer", "best null map", "inverted", "outcome"]
    lines = [["figure", "better", *columns]]
    for figure, up in ladder.table.figures.items():
        found = outcome(ladder.table, figure, up is not False)
        if not found.real and not found.perfect:
            continue
        cells = ["; ".join(_cells(ladder, names, figure)) or "–" for names in _shown(found, figure)]
        result = "–" if up is None else str(found)
        lines.append([f"`{figure}`", _direction(up), *cells, result])
    figures = [figure for figure in HEADLINES if figure in ladder.table.figures]
    return (
        f"### {ladder.heading}\n\n{ladder.measured} Where no direction is better, the highest "
        f"value stands for the best.\n\n{markdown_table(lines)}\n{_undefined(ladder)}"
        f"{_rungs(ladder, figures)}"
    )


def _shuffled(ladder: Ladder) -> str:
    text = f"### {ladder.heading}\n\n{ladder.measured}\n\n"
    return text + _undefined(ladder) + _rungs(ladder, list(ladder.table.figures))


def _shown(found: Outcome, figure: str) -> tuple[list[str], ...]:
    """Return the rungs in the cells of a figure's row."""
    inverted = [f"{found.perfect}, inverted"]
    if figure in OF_LABELS:
        # The other one is not judged by the figure, but it is shown.
        inverted.append("perfect, inverted")
    return [found.perfect], [found.real], [found.null], inverted


def _undefined(ladder: Ladder) -> str:
    """Return why values are undefined, a line for each reason."""
    table = ladder.table
    lines = [*table.left_out, *table.undefined(), *table.failures()]
    if not lines:
        return ""
    listed = "\n".join(f"- {line.replace(f'{ladder.model}: ', '')}" for line in lines)
    return f"Undefined values:\n\n{listed}\n\n"


def _rungs(ladder: Ladder, figures: Sequence[str]) -> str:
    """Return all rungs in order of the first figure, with these figures."""
    table = ladder.table
    [block] = table.blocks()
    names = sorted(table.explainers, key=lambda name: -_mean(table, name, figures[0]))
    lines = [["rung", *(f"`{figure}`" for figure in figures)]]
    for name in names:
        short = block.short(name)
        shown = f"**{short}**" if name in block.explainers else short
        lines.append([shown, *(_cell(ladder, short, figure) or "–" for figure in figures)])
    return f"All rungs, the real explainers in bold:\n\n{markdown_table(lines)}"


def _noise(ladders: list[Ladder]) -> str:
    """Return the faithfulness of smooth and of pixel noise, and their difference."""
    columns = ["paired difference", f"differ by at most {BOUND}", "tasks/groups"]
    lines = [["ladder", "draws", "figure", *(n.replace("_", " ") for n in NOISES), *columns]]
    for ladder in ladders:
        for figure in FAITHFULNESS:
            smooth, pixel = (f"{ladder.model}: {noise}" for noise in NOISES)
            found = ladder.table.difference(smooth, pixel, figure)
            cells = [_cell(ladder, noise, figure) for noise in NOISES]
            difference = with_interval(found.mean, found.low, found.high)
            counts = f"{found.tasks}/{found.groups}"
            row = [ladder.title, str(ladder.table.model_seeds), f"`{figure}`"]
            lines.append([*row, *cells, difference, within_bound(found), counts])
    notes = [f"{each.title}: {each.measured}\n\n{_undefined(each)}".strip() for each in ladders]
    measured = "\n\n".join(notes)
    return (
        "### Smooth and pixel noise\n\nA figure that rewards smoothness would distinguish them. "
        "Each task's value is the mean over the draws: with a single one, chance alone makes a "
        f"difference of about {BOUND}. The figure keeps to the bound if the whole interval of the "
        "difference lies within it; the bound is not resolved if the interval reaches beyond.\n\n"
        f"{markdown_table(lines)}\n{measured}\n"
    )


def within_bound(difference: Difference) -> str:
    """Return whether a difference is at most ``BOUND``, as far as its interval shows.

    Args:
        difference: Paired difference of smooth and pixel noise.
    """
    low, high = difference.low, difference.high
    mean = f"the mean {'does' if abs(difference.mean) <= BOUND else 'does not'}"
    if math.isnan(low):
        return f"{mean}; no interval"
    if low >= -BOUND and high <= BOUND:
        return "yes, with the whole interval"
    if high < -BOUND or low > BOUND:
        return "no"
    return f"{mean}; not resolved"


def _parts(content: Mapping[str, Any]) -> str:
    """Return the figures of the detectors of parts."""
    rungs = {
        name: {figure: Estimate(*values) for figure, values in figures.items()}
        for name, figures in content["figures"].items()
    }
    figures = list(rungs[detectors.PERFECT])
    lines = [["rung", *(f"`{figure}`" for figure in figures)]]
    for name, own in rungs.items():
        lines.append([name, *(with_interval(*own[figure][:3]) for figure in figures)])
    found = [detectors.failures({n: own[figure] for n, own in rungs.items()}) for figure in figures]
    verdicts = ["**stands**" if not each else "fails: " + "; ".join(each) for each in found]
    lines.append(["outcome", *verdicts])
    counted = rungs[detectors.PERFECT]["prototype_purity"].tasks
    return (
        f"### Figures of prototypes\n\n{detectors.IMAGES} pictures of {detectors.SIZE}x"
        f"{detectors.SIZE} pixels, {len(detectors.TABLE)} prototypes, of which purity sees "
        f"{counted}: it requires ten images of the class; {records.sentence(content)}.\n\n"
        f"{markdown_table(lines)}"
    )


def _mean(table: Comparison, name: str, figure: str) -> float:
    value = table[name, figure]
    return float("-inf") if value is None else value.mean


def _cells(ladder: Ladder, rungs: list[str], figure: str) -> list[str]:
    """Return the estimates of rungs with their names; none for those without the figure."""
    cells = {rung: _cell(ladder, rung, figure) for rung in rungs}
    return [f"{rung}: {cell}" for rung, cell in cells.items() if cell]


def _cell(ladder: Ladder, rung: str, figure: str) -> str:
    """Return a rung's estimate; empty if it has none."""
    value = ladder.table[f"{ladder.model}: {rung}", figure]
    if value is None:
        return ""
    text = with_interval(value.mean, value.low, value.high)
    return text if value.tasks == len(ladder.table.tasks) else f"{text} (n = {value.tasks})"


def _direction(up: bool | None) -> str:
    return "–" if up is None else "high" if up else "low"
