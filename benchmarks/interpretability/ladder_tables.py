"""Tables of the sanity ladder, from its stored results."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from benchmarks.interpretability import records
from benchmarks.interpretability.ladder_outcomes import KEEPS_ARROW, NO_ARROW, Outcome, outcome
from protoxai.comparison import Comparison
from protoxai.comparison.report.numbers import with_interval

TITLES = {
    "known": "The model whose reasons are known",
    "shapes": "{}, trained on Shapes",
    "camvid": "{}, trained on CamVid",
}
FAITHFULNESS = ("faithfulness", "patch_faithfulness", "context_faithfulness")


class Ladder(NamedTuple):
    """A measured ladder.

    Attributes:
        kind: Which of the ladders it is.
        table: What was measured.
        conditions: Versions and threads, as a sentence.
    """

    kind: str
    table: Comparison
    conditions: str

    @property
    def title(self) -> str:
        """The heading of its section."""
        return TITLES[self.kind].format(self.table.blocks()[0].model)


def read(path: Path) -> Ladder:
    """Return a stored ladder."""
    record = records.read(path)
    return Ladder(record.content["ladder"], record.table, record.conditions)


def tables(results: Path) -> str:
    """Return all tables of the page.

    Args:
        results: Folder of the stored ladders.
    """
    ladders = [read(path) for path in sorted(results.glob("ladder-*.json"))]
    ladders.sort(key=lambda ladder: list(TITLES).index(ladder.kind))
    ranked = [ladder for ladder in ladders if ladder.kind != "camvid"]
    sections = [_summary(ranked), *map(_section, ranked), _noise(ladders)]
    return "\n".join(sections)


def directions(ladders: list[Ladder]) -> dict[str, bool | None]:
    """Return the figures of all ladders, and their directions."""
    return {name: up for ladder in ladders for name, up in ladder.table.figures.items()}


def _summary(ladders: list[Ladder]) -> str:
    lines = ["### Outcome\n", "| figure | better | outcome |", "|---|---|---|"]
    figures = directions(ladders)
    for figure, up in figures.items():
        if up is None:
            text = f"no arrow: {NO_ARROW.get(figure, 'it only describes')}"
        else:
            found = [
                (ladder.title, outcome(ladder.table, figure, up))
                for ladder in ladders
                if figure in ladder.table.figures
            ]
            text = ". ".join(f"{title}: {each}" for title, each in found)
            if figure in KEEPS_ARROW and not all(each.stands for _, each in found):
                text += f". It keeps its arrow: {KEEPS_ARROW[figure]}"
        lines.append(f"| `{figure}` | {_direction(up)} | {text} |")
    return "\n".join(lines) + "\n"


def _section(ladder: Ladder) -> str:
    table = ladder.table
    images = len({name.image for name in table.tasks})
    lines = [
        f"### {ladder.title}\n",
        f"{len(table.tasks)} tasks on {images} images, seed {table.seed}; {ladder.conditions}.\n",
        "| figure | better | perfect | best real explainer | best null map | inverted | outcome |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure, up in table.figures.items():
        found = outcome(table, figure, up is not False)
        if not found.real and not found.perfect:
            continue
        result = "–" if up is None else str(found)
        cells = [_cell(table, name, figure) for name in _shown(found)]
        lines.append(f"| `{figure}` | {_direction(up)} | {' | '.join(cells)} | {result} |")
    return "\n".join(lines) + "\n\n" + _faithfulness(table)


def _shown(found: Outcome) -> tuple[str, ...]:
    inverted = f"{found.perfect}, inverted" if found.perfect else ""
    return found.perfect, found.real, found.null, inverted


def _faithfulness(table: Comparison) -> str:
    """Return the rungs in order of faithfulness, with the figures that are to rank them all."""
    figures = [
        f for f in (*FAITHFULNESS, "relevance_mass", "part_intervention") if f in table.figures
    ]
    [block] = table.blocks()
    names = sorted(table.explainers, key=lambda name: -_mean(table, name, figures[0]))
    lines = [
        f"| rung | {' | '.join(f'`{f}`' for f in figures)} |",
        "|---" * (1 + len(figures)) + "|",
    ]
    for name in names:
        short = block.short(name)
        shown = f"**{short}**" if name in block.explainers else short
        cells = [_cell(table, short, figure, named=False) for figure in figures]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "All rungs, the real explainers in bold:\n\n" + "\n".join(lines) + "\n"


def _noise(ladders: list[Ladder]) -> str:
    """Return the faithfulness of smooth and of pixel noise, and their difference."""
    lines = [
        "### Smooth and pixel noise\n",
        "A figure that rewards smoothness would tell them apart.\n",
        "| ladder | figure | smooth noise | pixel noise | paired difference | tasks/groups |",
        "|---|---|---|---|---|---|",
    ]
    noises = ("smooth_noise", "pixel_noise")
    for ladder in ladders:
        table, model = ladder.table, ladder.table.blocks()[0].model
        for figure in FAITHFULNESS:
            smooth, pixel = (f"{model}: {noise}" for noise in noises)
            found = table.difference(smooth, pixel, figure)
            cells = [_cell(table, noise, figure, named=False) for noise in noises]
            lines.append(
                f"| {ladder.title} | `{figure}` | {' | '.join(cells)} | "
                f"{with_interval(found.mean, found.low, found.high)} | "
                f"{found.tasks}/{found.groups} |"
            )
    return "\n".join(lines) + "\n"


def _mean(table: Comparison, name: str, figure: str) -> float:
    value = table[name, figure]
    return float("-inf") if value is None else value.mean


def _cell(table: Comparison, short: str, figure: str, *, named: bool = True) -> str:
    """Return a rung's estimate, with its name unless a column or row has it."""
    value = table[f"{table.blocks()[0].model}: {short}", figure] if short else None
    if value is None:
        return "–"
    text = with_interval(value.mean, value.low, value.high)
    count = f"(n = {value.tasks})" if value.tasks != len(table.tasks) else ""
    return " ".join(filter(None, [f"{short}:" if named else "", text, count]))


def _direction(up: bool | None) -> str:
    return "–" if up is None else "high" if up else "low"
