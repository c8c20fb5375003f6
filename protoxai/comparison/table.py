"""Table of a comparison, as text, CSV, JSON, Markdown and a figure."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from protoxai.comparison.result import Result
from protoxai.comparison.tasks import TaskName
from protoxai.metrics.base.intervals import Estimate, caution, estimate
from protoxai.runtime.figure_text import AS_IT_IS, drawable
from protoxai.runtime.files import to_json, write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARROWS = {True: "↑", False: "↓", None: ""}
WIDTH, GAP = 118, "  "
LEGEND = "Means over tasks [95 % interval over groups]; ↑ higher is better, ↓ lower."


@dataclass(frozen=True)
class Comparison:
    """Table of a comparison: explainers in rows, figures with their intervals in columns.

    Attributes:
        results: Result of each explainer and metric.
        seed: Seed of the metrics.
        tasks: Image, class and group of each task; without them each task is its own group.
        group_noun: What the groups are, in the plural.
        left_out: A line for each metric that is left out: why.
    """

    results: tuple[Result, ...]
    seed: int = 0
    tasks: tuple[TaskName, ...] = ()
    group_noun: str = "groups"
    left_out: tuple[str, ...] = ()

    @property
    def explainers(self) -> list[str]:
        """Names of the rows."""
        return list(dict.fromkeys(result.explainer for result in self.results))

    @property
    def figures(self) -> dict[str, bool | None]:
        """Names of the columns, and whether higher is better."""
        return {name: up for result in self.results for name, up in result.figures.items()}

    def __getitem__(self, key: tuple[str, str]) -> Estimate | None:
        """Return the estimate of an explainer's figure; None if there is none.

        The mean is over the tasks for which the figure is defined for all explainers that have it;
        without such a task, no explainer has it. The interval is over groups of tasks.
        """
        explainer, figure = key
        measured = self._measured(figure)
        shared = self._shared(figure)
        values = measured[explainer].values(figure) if explainer in measured else {}
        if not values or not shared:
            return None
        own = torch.tensor([values[index] for index in shared], dtype=torch.float64)
        result = measured[explainer]
        known = {name.task: name.group for name in self.tasks}
        groups = [known.get(index, index) for index in shared]
        value = estimate(own, groups=groups, share=figure in result.shares)
        return value._replace(undefined=len(result.indices) - len(shared))

    def failures(self) -> list[str]:
        """Return a line for each missing or incomplete result: why, and its number of tasks."""
        return [
            f"{result.explainer}, {result.metric}: {result.failure} (n = {len(result.indices)})"
            for result in self.results
            if result.failure
        ]

    def undefined(self) -> list[str]:
        """Return a line for each figure that does not count all tasks: how many it does, and why.

        Example:
            >>> rows = ((0.5,), (float("nan"),))
            >>> reasons = ("", "the map is 0 everywhere")
            >>> result = Result("red", "sparseness", {"sparseness": True}, (4, 9), rows, 0.1, "",
            ...                 complete=True, reasons=reasons)
            >>> Comparison((result,)).undefined()
            ['sparseness: n = 1 of 2 tasks; undefined for red on 1 (the map is 0 everywhere)']
        """
        lines = []
        for figure in self.figures:
            measured = self._measured(figure)
            all_reasons = {name: result.undefined(figure) for name, result in measured.items()}
            reasons = {name: reason for name, reason in all_reasons.items() if reason}
            if reasons and len(measured) > 1 and len(set(all_reasons.values())) == 1:
                reasons = {"all explainers": next(iter(reasons.values()))}
            tasks = set[int]().union(*(result.indices for result in measured.values()))
            count = len(self._shared(figure))
            if reasons or count < len(tasks):
                parts = [f"{figure}: n = {count} of {len(tasks)} tasks"]
                parts += [f"undefined for {name} {reason}" for name, reason in reasons.items()]
                lines.append("; ".join(parts))
        return lines

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        header, *rows = self._texts()
        lines = [header, ["---"] * len(header), *rows]
        texts = [f"| {' | '.join(map(_cell, line))} |" for line in lines]
        notes = self._notes()
        return "\n".join([*texts, *([""] if notes else []), *notes]) + "\n"

    def to_text(self) -> str:
        """Return the table for a terminal, in blocks of as many figures as fit side by side."""
        names, *columns = (_padded(column) for column in zip(*self._texts(), strict=True))
        lines: list[str] = []
        for block in _blocks(columns, WIDTH - len(names[0])):
            lines += [GAP.join(row).rstrip() for row in zip(names, *block, strict=True)]
            lines.append("")
        return "\n".join([*lines, LEGEND, *self._notes()]) + "\n"

    def to_csv(self) -> str:
        """Return a line for each figure of each explainer, with its interval or why it has none."""
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["explainer", "figure", *Estimate._fields, "reason"])
        for explainer, figure, value, reason in self._estimates():
            cells = ["" if number != number else number for number in value]
            writer.writerow([explainer, figure, *cells, reason])
        return buffer.getvalue()

    def to_json(self) -> str:
        """Return the figures, tasks, values of every task, failures, and what is undefined."""
        figures = [
            {"explainer": explainer, "figure": figure, **value._asdict(), "reason": reason}
            for explainer, figure, value, reason in self._estimates()
        ]
        content = {
            "figures": figures,
            "failures": self.failures(),
            "left_out": self.left_out,
            "undefined": self.undefined(),
            "tasks": [name._asdict() for name in self.tasks],
            "results": [result.to_config() for result in self.results],
        }
        return to_json(content)

    def figure(self) -> Figure:
        """Return a panel for each figure that any explainer has, with the intervals."""
        from matplotlib.figure import Figure

        names = [name for name in self.figures if any(self[e, name] for e in self.explainers)]
        columns = max(min(4, len(names)), 1)
        rows = max(-(-len(names) // columns), 1)
        height = 0.6 + 0.28 * len(self.explainers)
        figure = Figure(figsize=(3.6 * columns + 1.5, (height + 0.5) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for panel in panels.flat[len(names) :]:
            panel.set_axis_off()
        labels = [drawable(explainer) for explainer in self.explainers]
        for name, panel in zip(names, panels.flat, strict=False):
            for number, explainer in enumerate(self.explainers):
                value = self[explainer, name]
                if value is not None:
                    colour = f"C{number % 10}"
                    if value.has_interval:
                        panel.plot([value.low, value.high], [number] * 2, color=colour, linewidth=2)
                    panel.plot(value.mean, number, "o", color=colour)
            title = drawable(f"{name} {ARROWS[self.figures[name]]}")
            panel.set_title(title, fontsize=10, loc="left", **AS_IT_IS)
            panel.set_yticks(range(len(labels)), labels, fontsize=8, **AS_IT_IS)
            panel.set_ylim(len(self.explainers) - 0.5, -0.5)
            panel.tick_params(axis="x", labelsize=8)
            panel.grid(axis="x", alpha=0.3)
        return figure

    def save(self, folder: str | Path) -> None:
        """Write ``comparison.txt``, ``.csv``, ``.json``, ``.md`` and ``.png``."""
        folder = Path(folder)
        texts = {"txt": self.to_text, "csv": self.to_csv, "json": self.to_json}
        for ending, text in {**texts, "md": self.to_markdown}.items():
            write_file(folder / f"comparison.{ending}", text())
        picture = io.BytesIO()
        self.figure().savefig(picture, dpi=110, format="png")
        write_file(folder / "comparison.png", picture.getvalue())

    def _measured(self, figure: str) -> dict[str, Result]:
        """Return the result of each explainer with tasks that has a figure."""
        return {r.explainer: r for r in self.results if figure in r.figures and r.indices}

    def _shared(self, figure: str) -> list[int]:
        """Return the tasks that a figure is the mean of."""
        values = [set(result.values(figure)) for result in self._measured(figure).values()]
        return sorted(set.intersection(*defined)) if (defined := [v for v in values if v]) else []

    def _estimates(self) -> Iterator[tuple[str, str, Estimate, str]]:
        """Yield each figure of each explainer, and the reason why it lacks tasks."""
        for result in self.results:
            for figure in result.figures:
                value = self[result.explainer, figure]
                reasons = [result.failure, result.undefined(figure)]
                if value is None:
                    value = Estimate(math.nan, math.nan, math.nan, 0, 0, len(result.indices))
                if value.undefined and not any(reasons):
                    reasons.append("other explainers have no value for the tasks")
                yield result.explainer, figure, value, "; ".join(filter(None, reasons))

    def _texts(self) -> list[list[str]]:
        header = [f"{name} {ARROWS[up]}".strip() for name, up in self.figures.items()]
        rows = [
            [explainer, *(_text(self[explainer, figure]) for figure in self.figures)]
            for explainer in self.explainers
        ]
        return [["explainer", *header], *rows]

    def _notes(self) -> list[str]:
        groups = {name.group for name in self.tasks}
        few = caution(len(groups), self.group_noun) if groups else ""
        return [*filter(None, [few]), *self.left_out, *self.failures(), *self.undefined()]


def _text(value: Estimate | None) -> str:
    if value is None:
        return "–"
    if not value.has_interval:
        return f"{value.mean:.3g} (n = {value.tasks})"
    return f"{value.mean:.3g} [{value.low:.3g}, {value.high:.3g}]"


def _cell(text: str) -> str:
    """Return text as it fits into a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")


def _padded(texts: Sequence[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _blocks(columns: Iterable[list[str]], width: int) -> list[list[list[str]]]:
    """Divide the columns into blocks that fit the width, with at least one column in each."""
    blocks: list[list[list[str]]] = []
    free = 0
    for column in columns:
        needed = len(GAP) + len(column[0])
        if not blocks or needed > free:
            blocks.append([])
            free = width
        blocks[-1].append(column)
        free -= needed
    return blocks
