"""Table of a comparison, as text, CSV, JSON, Markdown and a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from protoxai.metrics.base.intervals import Estimate, estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARROWS = {True: "↑", False: "↓", None: ""}
WIDTH, GAP = 118, "  "
LEGEND = "Means over images [95 % interval]; ↑ higher is better, ↓ lower."


@dataclass(frozen=True)
class Result:
    """Values of one metric for one explainer, image by image.

    Attributes:
        explainer: Name of the explainer.
        metric: Name of the metric.
        figures: Figures of the metric, and whether higher is better (None: neither).
        indices: Data set indices of the images.
        rows: A value of each figure for each image; NaN where it is undefined.
        seconds: Time that the measurement took.
        failure: Reason why images are missing; empty if none are.
        complete: Whether another measurement would add nothing.
    """

    explainer: str
    metric: str
    figures: dict[str, bool | None]
    indices: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]
    seconds: float
    failure: str
    complete: bool

    def values(self, figure: str) -> dict[int, float]:
        """Return the defined values of a figure by image."""
        column = list(self.figures).index(figure)
        pairs = zip(self.indices, (row[column] for row in self.rows), strict=True)
        return {index: value for index, value in pairs if value == value}

    def summary(self) -> str:
        """Return a line with the number of images, the time and the failure."""
        parts = [f"{len(self.indices)} images in {self.seconds:.1f} s"]
        return "; ".join([*parts, self.failure] if self.failure else parts)

    def to_config(self) -> dict[str, Any]:
        """Return plain values for JSON, with null for undefined ones."""
        rows = [[value if value == value else None for value in row] for row in self.rows]
        return {**asdict(self), "rows": rows}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the result that :meth:`to_config` described."""
        rows = [
            tuple(float("nan") if value is None else value for value in row)
            for row in config["rows"]
        ]
        return cls(**{**config, "rows": tuple(rows), "indices": tuple(config["indices"])})


@dataclass(frozen=True)
class Comparison:
    """Table of a comparison: explainers in rows, figures with their intervals in columns.

    Attributes:
        results: Result of each explainer and metric.
        seed: Seed of the bootstrap.
    """

    results: tuple[Result, ...]
    seed: int = 0

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

        The mean is over the images for which the figure is defined for all explainers that have
        it; without such an image, no explainer has it.
        """
        explainer, figure = key
        measured = {
            result.explainer: result
            for result in self.results
            if figure in result.figures and result.indices
        }
        values = {name: result.values(figure) for name, result in measured.items()}
        if not values.get(explainer):
            return None
        shared = sorted(set.intersection(*(set(own) for own in values.values() if own)))
        if not shared:
            return None
        own = torch.tensor([values[explainer][index] for index in shared], dtype=torch.float64)
        undefined = len(measured[explainer].indices) - len(shared)
        return estimate(own, seed=self.seed)._replace(undefined=undefined)

    def failures(self) -> list[str]:
        """Return a line for each result that is missing or incomplete, with the reason."""
        return [f"{r.explainer}, {r.metric}: {r.failure}" for r in self.results if r.failure]

    def to_markdown(self) -> str:
        """Return the table in Markdown."""
        header, *rows = self._texts()
        lines = [header, ["---"] * len(header), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n" + self._notes()

    def to_text(self) -> str:
        """Return the table for a terminal, in blocks of as many figures as fit side by side."""
        names, *columns = (_padded(column) for column in zip(*self._texts(), strict=True))
        lines: list[str] = []
        for block in _blocks(columns, WIDTH - len(names[0])):
            lines += [GAP.join(row).rstrip() for row in zip(names, *block, strict=True)]
            lines.append("")
        return "\n".join([*lines, LEGEND, *self.failures()]) + "\n"

    def to_csv(self) -> str:
        """Return a line for each figure of each explainer, with its interval."""
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["explainer", "figure", "mean", "low", "high", "images", "undefined"])
        writer.writerows([e, figure, *value] for e, figure, value in self._estimates())
        return buffer.getvalue()

    def to_json(self) -> str:
        """Return the figures, the values of every image, and the failures."""
        figures = [
            {"explainer": e, "figure": figure, **value._asdict()}
            for e, figure, value in self._estimates()
        ]
        results = [result.to_config() for result in self.results]
        content = {"figures": figures, "failures": self.failures(), "results": results}
        return json.dumps(content, indent=1) + "\n"

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
        for name, panel in zip(names, panels.flat, strict=False):
            for number, explainer in enumerate(self.explainers):
                value = self[explainer, name]
                if value is not None:
                    colour = f"C{number % 10}"
                    panel.plot([value.low, value.high], [number] * 2, color=colour, linewidth=2)
                    panel.plot(value.mean, number, "o", color=colour)
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
                value = self[explainer, figure]
                if value is not None:
                    yield explainer, figure, value

    def _texts(self) -> list[list[str]]:
        header = [f"{name} {ARROWS[up]}".strip() for name, up in self.figures.items()]
        rows = [
            [explainer, *(_text(self[explainer, figure]) for figure in self.figures)]
            for explainer in self.explainers
        ]
        return [["explainer", *header], *rows]

    def _notes(self) -> str:
        return "".join(f"\n{line}" for line in self.failures()) + ("\n" if self.failures() else "")


def _text(value: Estimate | None) -> str:
    if value is None:
        return "–"
    if value.images == 1:
        # The interval of a single image has no width, which would look like certainty.
        return f"{value.mean:.3g} (1 image)"
    return f"{value.mean:.3g} [{value.low:.3g}, {value.high:.3g}]"


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
