"""The tables of a comparison: text, Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from protoxai.comparison.block import Block
from protoxai.comparison.measurements import Measurements
from protoxai.comparison.report.headlines import BETWEEN_MODELS, HEADLINES
from protoxai.comparison.report.numbers import with_interval
from protoxai.comparison.report.sentences import LEGEND as DIFFERENCES
from protoxai.comparison.report.sentences import sentences
from protoxai.metrics.base.intervals import Estimate, caution
from protoxai.runtime.files import to_json
from protoxai.runtime.text_tables import (
    GAP,
    latex_table,
    latex_text,
    markdown_table,
    markdown_text,
    padded,
    text_table,
)

ARROWS = {True: "↑", False: "↓", None: ""}
WIDTH = 118
LEGEND = (
    "Means over tasks [95 % interval over groups], n = tasks/groups; ↑ higher is better, ↓ lower."
)
MARKED = "* best of the model, or not distinguishable from it."


def to_text(measured: Measurements, details: bool = False) -> str:
    """Return the sentences and the tables for a terminal, as narrow as its lines may be.

    Args:
        measured: Measurements of the comparison.
        details: Whether the other figures than the headlines follow; they do where there are no
            headlines.
    """
    headline, others = _figures(measured, details)
    said = sentences(measured)
    lines = [*said, DIFFERENCES, ""] if said else []
    any_best = False
    for block in measured.blocks():
        if not headline:
            break
        if block.model:
            lines.append(block.model)
        texts = _block_lines(measured, block, headline, TEXT)
        any_best |= any(cell.startswith("*") for row in texts for cell in row)
        lines += _narrow(texts)
    for block in measured.blocks() if others else ():
        title = ", ".join(filter(None, [block.model, "details" * bool(headline)]))
        lines += [title] if block.model else []
        lines += _narrow(_block_lines(measured, block, others, TEXT))
    said = notes(measured, headline + others)
    return "\n".join([*lines, LEGEND, *[MARKED] * any_best, *said]) + "\n"


def to_markdown(measured: Measurements, details: bool = True) -> str:
    """Return the sentences, a table for each model, and the details, in Markdown.

    Args:
        measured: Measurements of the comparison.
        details: Whether the other figures than the headlines follow; they do where there are no
            headlines.
    """
    headline, others = _figures(measured, details)
    parts = [f"- {markdown_text(line)}\n" for line in sentences(measured)]
    if parts:
        parts.append(f"\n{DIFFERENCES}\n")
    for title, figures in (("", headline), ("details" if headline else "", others)):
        for block in measured.blocks() if figures else ():
            name = ", ".join(filter(None, [block.model, title]))
            parts += [f"\n**{markdown_text(name)}**\n\n"] if name else ["\n"] if parts else []
            parts.append(markdown_table(_block_lines(measured, block, figures, MARKDOWN)))
    legend = f"{LEGEND} Bold: {MARKED.removeprefix('* ')} Italic: reference maps.\n"
    said = [f"- {markdown_text(note)}\n" for note in notes(measured, headline + others)]
    return "".join([*parts, f"\n{legend}", *["\n"] * bool(said), *said])


def to_latex(measured: Measurements) -> str:
    """Return a table of the headline figures for each model, for the package booktabs."""
    headline, others = _figures(measured)
    figures = headline or others
    tables = []
    for block in measured.blocks():
        lines = _block_lines(measured, block, figures, LATEX)
        title = f"% {' '.join(block.model.split())}\n" if block.model else ""
        tables.append(title + latex_table(lines, "l" + "c" * len(figures)))
    return "\n".join(tables)


def to_csv(measured: Measurements) -> str:
    """Return a line for each figure of each explainer, with its interval or why it has none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["model", "explainer", "reference", "figure", *Estimate._fields, "reason"])
    for result, figure, value, reason in measured.estimates():
        cells = ["" if number != number else number for number in value]
        name = result.explainer
        writer.writerow([result.model, name, int(result.reference), figure, *cells, reason])
    return buffer.getvalue()


def to_plain_json(measured: Measurements) -> str:
    """Return sentences, figures, differences, tasks, values of every task, and what is missing."""
    figures = [
        {
            "model": result.model,
            "explainer": result.explainer,
            "reference": result.reference,
            "figure": figure,
            **value._asdict(),
            "reason": reason,
        }
        for result, figure, value, reason in measured.estimates()
    ]
    content = {
        "sentences": sentences(measured),
        "figures": figures,
        "differences": _differences(measured),
        "left_out": list(measured.left_out),
        "failures": measured.failures(),
        "undefined": measured.undefined(),
        "tasks": [name._asdict() for name in measured.tasks],
        "results": [result.to_config() for result in measured.results],
    }
    return to_json(content)


def notes(measured: Measurements, figures: Collection[str]) -> list[str]:
    """Return what a table has to be read with: few groups, failures, and what is undefined.

    Args:
        measured: Measurements of the comparison.
        figures: Figures that the table shows.
    """
    known = {index for result in measured.results for index in result.indices}
    groups = {name.group for name in measured.tasks if name.task in known}
    few = caution(len(groups), measured.group_noun) if groups else ""
    seeds = f"Values are means over {measured.model_seeds} trainings of each model."
    several = [seeds] * (measured.model_seeds > 1)
    return [
        *several,
        *filter(None, [few]),
        *measured.left_out,
        *measured.failures(),
        *measured.undefined(figures),
    ]


def _figures(measured: Measurements, details: bool = True) -> tuple[list[str], list[str]]:
    """Return the headline figures, and the others if details are shown or there is no headline."""
    headline = [figure for figure in HEADLINES if figure in measured.figures]
    others = [figure for figure in measured.figures if figure not in headline]
    return headline, others if details or not headline else []


def _differences(measured: Measurements) -> list[dict[str, Any]]:
    """Return the differences within and between models that sentences are about, and others."""
    found = []
    for figure, up in measured.figures.items():
        if up is None:
            continue
        families = [measured.between_models(figure)] if figure in BETWEEN_MODELS else []
        for block in measured.blocks():
            others = [name for name in block.explainers + block.references if name != block.chosen]
            families.append(measured.corrected([(block.chosen, o) for o in others], figure))
        found += [
            {"figure": figure, "first": first, "second": second, **difference._asdict()}
            for family in families
            for (first, second), difference in family.items()
        ]
    return found


class _Style(NamedTuple):
    """How a table marks texts: those of references, and the best."""

    escaped: Callable[[str], str]
    reference: str
    best: str


TEXT = _Style(str, "({})", "*{}")
MARKDOWN = _Style(markdown_text, "*{}*", "**{}**")
LATEX = _Style(latex_text, r"\textit{{{}}}", r"\textbf{{{}}}")


def _block_lines(
    measured: Measurements, block: Block, figures: Sequence[str], style: _Style
) -> list[list[str]]:
    """Return the lines of a model's table."""
    header = ["explainer", *(f"{f} {ARROWS[measured.figures[f]]}".strip() for f in figures)]
    best = {figure: measured.best(block, figure) for figure in figures}
    lines = [list(map(style.escaped, header))]
    for name in block.explainers + block.references:
        title = style.escaped(block.short(name))
        line = [style.reference.format(title) if name in block.references else title]
        for figure in figures:
            cell = style.escaped(_text(measured[name, figure]))
            line.append(style.best.format(cell) if name in best[figure] else cell)
        lines.append(line)
    return lines


def _text(value: Estimate | None) -> str:
    if value is None:
        return "–"
    number = f"n={value.tasks}" + f"/{value.groups}" * (value.groups != value.tasks)
    return f"{with_interval(value.mean, value.low, value.high)}, {number}"


def _narrow(texts: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in blocks of as many figures as fit side by side."""
    names, *columns = (padded(column) for column in zip(*texts, strict=True))
    lines: list[str] = []
    for chunk in _chunks(columns, WIDTH - len(names[0])):
        lines += [*text_table(list(zip(names, *chunk, strict=True))).splitlines(), ""]
    return lines


def _chunks(columns: Iterable[list[str]], width: int) -> list[list[list[str]]]:
    """Divide the columns into chunks that fit the width, with at least one column in each."""
    chunks: list[list[list[str]]] = []
    free = 0
    for column in columns:
        needed = len(GAP) + len(column[0])
        if not chunks or needed > free:
            chunks.append([])
            free = width
        chunks[-1].append(column)
        free -= needed
    return chunks
