"""The table of a comparison, as text, CSV, JSON, Markdown and a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from protoxai.metrics.base.bootstrap import Estimate, estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARROWS = {True: "↑", False: "↓", None: ""}
WIDTH, GAP = 118, "  "
LEGEND = "Means over images [95 % interval]; ↑ higher is better, ↓ lower."


@dataclass(frozen=True)
class Cell:
    """One metric of one explainer, image by image.

    Attributes:
        explainer: its name.
        metric: its name.
        directions: the metric's figures, and whether higher is better (None: neither).
        indices: of the images.
        rows: of each image, a value for each figure; NaN where it is undefined.
        seconds: that the cell took.
        failure: why images are missing, or empty.
        complete: whether measuring again would give nothing more.
    """

    explainer: str
    metric: str
    directions: dict[str, bool | None]
    indices: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]
    seconds: float
    failure: str
    complete: bool

    def values(self, figure: str) -> dict[int, float]:
        """Return the defined values of a figure by image."""
        column = list(self.directions).index(figure)
        pairs = zip(self.indices, (row[column] for row in self.rows), strict=True)
        return {index: value for index, value in pairs if value == value}

    def summary(self) -> str:
        """Say in a line what came of the cell."""
        parts = [f"{len(self.indices)} images in {self.seconds:.1f} s"]
        return "; ".join([*parts, self.failure] if self.failure else parts)

    def to_config(self) -> dict[str, Any]:
        """Return plain values, for JSON; undefined ones as null."""
        rows = [[value if value == value else None for value in row] for row in self.rows]
        return {**asdict(self), "rows": rows}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Read what :meth:`to_config` gave."""
        rows = [
            tuple(float("nan") if value is None else value for value in row)
            for row in config["rows"]
        ]
        return cls(**{**config, "rows": tuple(rows), "indices": tuple(config["indices"])})


@dataclass(frozen=True)
class Comparison:
    """Explainers in rows, figures in columns, each with its interval.

    Attributes:
        cells: all that was measured.
        seed: of the bootstrap.
    """

    cells: tuple[Cell, ...]
    seed: int = 0

    @property
    def explainers(self) -> list[str]:
        """Names of the rows."""
        return list(dict.fromkeys(cell.explainer for cell in self.cells))

    @property
    def figures(self) -> dict[str, bool | None]:
        """Names of the columns, and whether higher is better."""
        return {name: up for cell in self.cells for name, up in cell.directions.items()}

    def __getitem__(self, place: tuple[str, str]) -> Estimate | None:
        """Return a figure of an explainer; None where it has none.

        The mean is over the images that define the figure for all explainers that have it; without
        such an image, none has it.
        """
        explainer, figure = place
        columns = {
            cell.explainer: cell.values(figure)
            for cell in self.cells
            if figure in cell.directions and cell.indices
        }
        if not columns.get(explainer):
            return None
        shared = sorted(set.intersection(*(set(values) for values in columns.values() if values)))
        if not shared:
            return None
        own = columns[explainer]
        values = torch.tensor([own[index] for index in shared], dtype=torch.float64)
        found = estimate(values, seed=self.seed)
        cell = next(c for c in self.cells if c.explainer == explainer and figure in c.directions)
        return found._replace(undefined=len(cell.indices) - len(shared))

    def failures(self) -> list[str]:
        """Say which cells are missing or incomplete, and why."""
        return [f"{c.explainer}, {c.metric}: {c.failure}" for c in self.cells if c.failure]

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        header, *rows = self._texts()
        lines = [header, ["---"] * len(header), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n" + self._notes()

    def to_text(self) -> str:
        """Return the table for a terminal: in blocks of as many figures as fit side by side."""
        names, *columns = (_padded(column) for column in zip(*self._texts(), strict=True))
        lines: list[str] = []
        for block in _blocks(columns, WIDTH - len(names[0])):
            lines += [GAP.join(row).rstrip() for row in zip(names, *block, strict=True)]
            lines.append("")
        return "\n".join([*lines, LEGEND, *self.failures()]) + "\n"

    def to_csv(self) -> str:
        """Return the figures with their intervals, a line each."""
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["explainer", "figure", "mean", "low", "high", "images", "undefined"])
        writer.writerows([e, figure, *found] for e, figure, found in self._estimates())
        return buffer.getvalue()

    def to_json(self) -> str:
        """Return the figures, the values of every image, and the failures."""
        figures = [
            {"explainer": e, "figure": figure, **found._asdict()}
            for e, figure, found in self._estimates()
        ]
        cells = [cell.to_config() for cell in self.cells]
        content = {"figures": figures, "failures": self.failures(), "cells": cells}
        return json.dumps(content, indent=1) + "\n"

    def figure(self) -> Figure:
        """Draw every figure that an explainer has, with its intervals, a panel each."""
        from matplotlib.figure import Figure

        names = [name for name in self.figures if any(self[e, name] for e in self.explainers)]
        columns = max(min(4, len(names)), 1)
        rows = max(-(-len(names) // columns), 1)
        height = 0.6 + 0.28 * len(self.explainers)
        figure = Figure(figsize=(3.6 * columns + 1.5, (height + 0.5) * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for panel in panels.flat[len(names) :]:
            panel.set_axis_off()
        for name, panel in zip(names, panels.flat, strict=False):
            for number, explainer in enumerate(self.explainers):
                found = self[explainer, name]
                if found is not None:
                    colour = f"C{number % 10}"
                    panel.plot([found.low, found.high], [number] * 2, color=colour, linewidth=2)
                    panel.plot(found.mean, number, "o", color=colour)
            panel.set_title(f"{name} {ARROWS[self.figures[name]]}", fontsize=10, loc="left")
            panel.set_yticks(range(len(self.explainers)), self.explainers, fontsize=8)
            panel.set_ylim(len(self.explainers) - 0.5, -0.5)
            panel.tick_params(axis="x", labelsize=8)
            panel.grid(axis="x", alpha=0.3)
        return figure

    def save(self, folder: str | Path) -> None:
        """Write ``comparison.txt``, ``.csv``, ``.json``, ``.md`` and ``.png``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"txt": self.to_text, "csv": self.to_csv, "json": self.to_json}
        for ending, text in {**texts, "md": self.to_markdown}.items():
            (folder / f"comparison.{ending}").write_text(text(), encoding="utf-8")
        self.figure().savefig(folder / "comparison.png", dpi=110)

    def _estimates(self) -> Iterator[tuple[str, str, Estimate]]:
        for explainer in self.explainers:
            for figure in self.figures:
                found = self[explainer, figure]
                if found is not None:
                    yield explainer, figure, found

    def _texts(self) -> list[list[str]]:
        header = [f"{name} {ARROWS[up]}".strip() for name, up in self.figures.items()]
        rows = [
            [explainer, *(_text(self[explainer, figure]) for figure in self.figures)]
            for explainer in self.explainers
        ]
        return [["explainer", *header], *rows]

    def _notes(self) -> str:
        return "".join(f"\n{line}" for line in self.failures()) + ("\n" if self.failures() else "")


def _text(found: Estimate | None) -> str:
    if found is None:
        return "–"
    if found.images == 1:
        # Resampled, a single image is always itself, which would look like certainty.
        return f"{found.mean:.3g} (1 image)"
    return f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"


def _padded(texts: Sequence[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _blocks(columns: Iterable[list[str]], width: int) -> list[list[list[str]]]:
    """Divide columns into blocks that fit, one after another, a column at least in each."""
    blocks: list[list[list[str]]] = []
    left = 0
    for column in columns:
        taken = len(GAP) + len(column[0])
        if not blocks or taken > left:
            blocks.append([])
            left = width
        blocks[-1].append(column)
        left -= taken
    return blocks
