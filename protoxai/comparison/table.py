"""The result of a comparison: sentences, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protoxai.comparison.measurements import Measurements
from protoxai.comparison.report import tables
from protoxai.comparison.report.sentences import sentences
from protoxai.runtime.files import write_file, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison(Measurements):
    """Result of a comparison: explainers in rows, figures with their intervals in columns.

    The headline figures stand first, a table for each model; the details are all others.

    Attributes:
        results: Result of each explainer and metric.
        seed: Seed of the metrics and of the tests.
        tasks: Image, class and group of each task; without them each task is its own group.
        group_noun: What the groups are, in the plural.
        model_seeds: Number of trainings of each model that the values are means over.
        left_out: Lines that say which metrics and tasks are left out, and why.
    """

    def sentences(self) -> list[str]:
        """Return what the comparison shows, in sentences that its intervals support."""
        return sentences(self)

    def to_text(self, details: bool = False) -> str:
        """Return sentences and tables for a terminal.

        Args:
            details: Whether the other figures than the headlines follow; they do where there are
                no headlines.
        """
        return tables.to_text(self, details)

    def to_markdown(self, details: bool = True) -> str:
        """Return sentences and tables in Markdown.

        Args:
            details: Whether the other figures than the headlines follow; they do where there are
                no headlines.
        """
        return tables.to_markdown(self, details)

    def to_latex(self) -> str:
        """Return the tables of the headline figures in LaTeX, for the package booktabs."""
        return tables.to_latex(self)

    def to_csv(self) -> str:
        """Return a line for each figure of each explainer, with its interval or why it has none."""
        return tables.to_csv(self)

    def to_json(self) -> str:
        """Return sentences, figures, differences, tasks and the values of every task."""
        return tables.to_plain_json(self)

    def figure(self) -> Figure:
        """Return a panel for each figure that any explainer has, with the intervals."""
        from protoxai.comparison.report.plots import intervals_figure

        return intervals_figure(self)

    def differences_figure(self) -> Figure:
        """Return the paired differences to each model's first explainer, as a forest plot."""
        from protoxai.comparison.report.plots import differences_figure

        return differences_figure(self)

    def cost_figure(self) -> Figure:
        """Return faithfulness against the seconds of an explanation, a panel for each model."""
        from protoxai.comparison.report.plots import cost_figure

        return cost_figure(self)

    def save(self, folder: str | Path) -> None:
        """Write ``comparison.{txt,csv,json,md,tex,png}``, ``differences.png`` and ``cost.png``."""
        folder = Path(folder)
        texts = {
            "txt": self.to_text(details=True),
            "csv": self.to_csv(),
            "json": self.to_json(),
            "md": self.to_markdown(),
            "tex": self.to_latex(),
        }
        for ending, text in texts.items():
            write_file(folder / f"comparison.{ending}", text)
        write_picture(folder / "comparison.png", self.figure())
        write_picture(folder / "differences.png", self.differences_figure())
        write_picture(folder / "cost.png", self.cost_figure())
