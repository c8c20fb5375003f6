"""The figures of a comparison: intervals, differences, and faithfulness against cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from protoxai.comparison.block import Block
from protoxai.comparison.measurements import Measurements, distinguished
from protoxai.comparison.report.headlines import CONCLUSIVE
from protoxai.comparison.report.tables import ARROWS
from protoxai.runtime.figure_text import AS_IT_IS, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY = "#0072b2", "#8a8a8a"
"""Colours of explainers that compete, and of references."""
ROW, PANEL = 0.26, 3.4
"""Height of an explainer's row and width of a panel, in inches."""


def intervals_figure(measured: Measurements) -> Figure:
    """Return a panel for each figure that any explainer has, with the intervals.

    Args:
        measured: Measurements of the comparison.
    """
    from matplotlib.figure import Figure

    names = [
        name for name in measured.figures if any(measured[e, name] for e in measured.explainers)
    ]
    columns = max(min(4, len(names)), 1)
    rows = max(-(-len(names) // columns), 1)
    height = (1.1 + ROW * len(measured.explainers)) * rows
    figure = Figure(figsize=(PANEL * columns + 1.5, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for panel in panels.flat[len(names) :]:
        panel.set_axis_off()
    shown = dict(_rows(measured))
    for name, panel in zip(names, panels.flat, strict=False):
        for row, explainer in enumerate(shown):
            if value := measured[explainer, name]:
                _point(panel, row, value.mean, (value.low, value.high), grey=shown[explainer])
        _title(panel, f"{name} {ARROWS[measured.figures[name]]}")
    for first in panels[:, 0]:
        _label_rows(first, shown)
    return figure


def differences_figure(measured: Measurements) -> Figure:
    """Return the paired differences to each model's first explainer, as a forest plot.

    A point right of 0 means that the first explainer has the larger value. A hollow point is a
    difference that the paired test does not distinguish from 0.

    Args:
        measured: Measurements of the comparison.
    """
    from matplotlib.figure import Figure

    ranked = [figure for figure, up in measured.figures.items() if up is not None]
    names = [figure for figure in CONCLUSIVE if figure in ranked] or ranked
    blocks = [block for block in measured.blocks() if len(block.explainers + block.references) > 1]
    heights = [1.2 + ROW * len(block.explainers + block.references) for block in blocks] or [1.0]
    width = PANEL * max(len(names), 1) + 1.5
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    if not (blocks and names):
        return figure
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for block, part in zip(blocks, parts, strict=True):
        title = f"{block.model}: {block.short(block.chosen)} minus each other"
        part.suptitle(
            drawable(title.removeprefix(": ")), fontsize=10, x=0.01, ha="left", **AS_IT_IS
        )
        panels = part.subplots(1, len(names), squeeze=False, sharey=True)[0]
        shown = {name: name in block.references for name in block.explainers + block.references}
        shown.pop(block.chosen)
        for name, panel in zip(names, panels, strict=True):
            panel.axvline(0, color="black", linewidth=0.8)
            for other, difference in measured.family(block.chosen, list(shown), name).items():
                row = list(shown).index(other)
                ends = difference.low, difference.high
                filled = distinguished(difference)
                _point(panel, row, difference.mean, ends, grey=shown[other], filled=filled)
            _title(panel, f"{name} {ARROWS[measured.figures[name]]}")
        _label_rows(panels[0], {block.short(other): grey for other, grey in shown.items()})
    return figure


def cost_figure(measured: Measurements) -> Figure:
    """Return faithfulness against the seconds of an explanation, a panel for each model.

    Points are numbered by falling faithfulness. The line is the front: no explainer left of it is
    as faithful.

    Args:
        measured: Measurements of the comparison.
    """
    from matplotlib.figure import Figure

    blocks = [block for block in measured.blocks() if _costs(measured, block)]
    figure = Figure(figsize=(6.4 * max(len(blocks), 1), 3.6), layout="constrained")
    if not blocks:
        return figure
    panels = figure.subplots(1, len(blocks), squeeze=False, sharey=True)[0]
    for block, panel in zip(blocks, panels, strict=True):
        points = _costs(measured, block)
        front = _front({name: points[name] for name in block.explainers if name in points})
        panel.step(*zip(*front, strict=True), where="post", color=INK, linewidth=0.8, alpha=0.6)
        ranked = sorted(points, key=lambda name: -points[name][1])
        for number, name in enumerate(ranked, start=1):
            colour = GREY if name in block.references else INK
            style = {"marker": f"${number}$", "color": colour, "linestyle": "none"}
            panel.plot(*points[name], markersize=3 + 3 * len(str(number)), **style)
        legend = panel.legend(
            panel.lines[1:],
            [drawable(block.short(name)) for name in ranked],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=7,
        )
        for text in legend.get_texts():
            text.set(**AS_IT_IS)
        panel.set_xscale("log")
        panel.margins(x=0.25)
        panel.set_xlabel("seconds per explanation", fontsize=8)
        panel.grid(axis="y", alpha=0.3)
        _title(panel, block.model or "explainers")
    panels[0].set_ylabel("faithfulness", fontsize=8)
    return figure


def _costs(measured: Measurements, block: Block) -> dict[str, tuple[float, float]]:
    """Return seconds and faithfulness of the explainers that have both."""
    points = {}
    for name in block.explainers + block.references:
        seconds, value = measured[name, "seconds"], measured[name, "faithfulness"]
        if seconds and value and seconds.mean > 0:
            points[name] = (seconds.mean, value.mean)
    return points


def _front(points: Mapping[str, tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no faster one equals in faithfulness."""
    front: list[tuple[float, float]] = []
    for seconds, value in sorted(points.values()):
        if not front or value > front[-1][1]:
            front.append((seconds, value))
    return front or [(1.0, 0.0)]


def _rows(measured: Measurements) -> Iterator[tuple[str, bool]]:
    """Yield the explainers, model by model, and whether each is a reference."""
    for block in measured.blocks():
        yield from ((name, False) for name in block.explainers)
        yield from ((name, True) for name in block.references)


def _point(
    panel: Axes,
    row: int,
    mean: float,
    ends: tuple[float, float],
    *,
    grey: bool,
    filled: bool = True,
) -> None:
    colour = GREY if grey else INK
    if ends[0] == ends[0]:
        panel.plot(ends, [row] * 2, color=colour, linewidth=2)
    face = colour if filled else "white"
    panel.plot(mean, row, "o", color=colour, markerfacecolor=face, markersize=5)


def _title(panel: Axes, text: str) -> None:
    panel.set_title(drawable(text), fontsize=10, loc="left", **AS_IT_IS)
    panel.tick_params(labelsize=8)
    panel.grid(axis="x", alpha=0.3)


def _label_rows(panel: Axes, rows: Mapping[str, bool]) -> None:
    panel.set_yticks(range(len(rows)), [drawable(name) for name in rows], fontsize=8, **AS_IT_IS)
    for label, grey in zip(panel.get_yticklabels(), rows.values(), strict=True):
        label.set_color(GREY if grey else "black")
    panel.set_ylim(len(rows) - 0.5, -0.5)
