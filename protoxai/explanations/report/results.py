"""The scores of a model, in words and numbers for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protoxai.explanations.report.payload import PageClass

if TYPE_CHECKING:
    from protoxai.evaluation.scores import Scores

UNDEFINED = "–"
COLUMNS = ("IoU", "Dice", "precision", "recall")


@dataclass(frozen=True)
class ResultRow:
    """The scores of a class.

    Attributes:
        name: Name of the class.
        colour: Colour of the class, as ``#rrggbb``.
        width: Length of the bar of the IoU, in percent.
        cells: The scores in percent, as text, in the order of the columns.
    """

    name: str
    colour: str
    width: float
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """The scores of a model.

    Attributes:
        headline: Figures with their names.
        note: What the figures have to be read with.
        columns: Titles of the columns.
        rows: The classes.
    """

    headline: tuple[tuple[str, str], ...]
    note: str
    columns: tuple[str, ...]
    rows: tuple[ResultRow, ...]


def result_table(scores: Scores, classes: Sequence[PageClass]) -> Results:
    """Return the scores as a page shows them.

    Args:
        scores: Scores of the model.
        classes: Name and colour of each class.
    """
    columns = (scores.per_class, scores.dice, scores.precision, scores.recall)
    rows = tuple(
        ResultRow(
            each.name,
            each.colour,
            0.0 if math.isnan(values[0]) else 100 * values[0],
            tuple(map(_percent, values)),
        )
        for each, *values in zip(classes, *columns, strict=True)
    )
    headline = (
        ("Mean IoU", _unit(scores.mean_iou)),
        ("Right pixels", _unit(scores.pixel_accuracy)),
    )
    return Results(headline, _note(scores), COLUMNS, rows)


def _note(scores: Scores) -> str:
    parts = [scores.caution] if scores.caution else []
    if scores.interval is not None:
        low, high = (100 * end for end in scores.interval)
        parts.append(
            f"95 % interval of the mean IoU: {low:.1f} to {high:.1f}, over {scores.independent}"
        )
    elif scores.why_no_interval:
        parts.append(f"no interval of the mean IoU: {scores.why_no_interval}")
    text = "; ".join(parts)
    return text and f"{text[0].upper()}{text[1:]}."


def _percent(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{100 * value:.1f}"


def _unit(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{100 * value:.1f} %"
