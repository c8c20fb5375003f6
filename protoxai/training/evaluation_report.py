"""The result of an evaluation, with everything that its figures depend on, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from protoxai.evaluation.scores import Scores
from protoxai.heads.groups import SparseGroupHead
from protoxai.metrics.prototype.active_prototypes import SMALLEST_GROUP_WEIGHT, SMALLEST_OWN_WEIGHT
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.distributed import own_device, world_size

NOWHERE = "no pixel is labelled or predicted as the class (n = 0)"
COLUMNS = {
    "per_class": ("IoU", NOWHERE),
    "dice": ("Dice", NOWHERE),
    "precision": ("precision", "no labelled pixel is predicted as the class (n = 0)"),
    "recall": ("recall", "no pixel is labelled as the class (n = 0)"),
}
"""Scores of classes: the title of each, and why it may be undefined."""
GAP = "  "
UNCERTAIN = 20
"""Number of images or groups below which the printed interval has a warning."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores of a model with the data, the settings and the computer that they are from.

    Attributes:
        scores: The scores.
        class_names: Names of the classes.
        data: Data set, options and split.
        settings: Settings of the evaluation by name.
        sources: Where each setting is from: "given", "recipe", "model folder", "model", "data set"
            or "default".
        conditions: Device, threads and processes, on which the last digits may depend.
    """

    scores: Scores
    class_names: tuple[str, ...]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    sources: Mapping[str, str]
    conditions: Mapping[str, Any]

    def undefined(self) -> dict[str, Any]:
        """Return the reason for each score that is not defined, by its name and class."""
        scores = self.scores
        reasons: dict[str, Any] = {
            name: f"{scores.caution} (n = 0)"
            for name in ("mean_iou", "pixel_accuracy")
            if math.isnan(getattr(scores, name))
        }
        if scores.why_no_interval:
            reasons["interval"] = scores.why_no_interval
        for column, (_, reason) in COLUMNS.items():
            values = zip(self.class_names, getattr(scores, column), strict=True)
            empty = {name: reason for name, value in values if math.isnan(value)}
            if empty:
                reasons[column] = empty
        return reasons

    def to_plain(self) -> dict[str, Any]:
        """Return everything as plain values, with scores of classes by the names of the classes."""
        by_class = {
            column: dict(zip(self.class_names, getattr(self.scores, column), strict=True))
            for column in COLUMNS
        }
        return {
            **asdict(self.scores),
            **by_class,
            "caution": self.scores.caution,
            "undefined": self.undefined(),
            "data": dict(self.data),
            "settings": dict(self.settings),
            "sources": dict(self.sources),
            "conditions": dict(self.conditions),
        }

    def to_text(self) -> str:
        """Return the scores and the settings for a terminal."""
        parts = [f"{self.scores}\n{self._interval_text()}", self._table(), self._settings_table()]
        return "\n\n".join(parts)

    def _interval_text(self) -> str:
        scores = self.scores
        lines = [f"no interval: {scores.why_no_interval}"] if scores.why_no_interval else []
        if scores.interval is not None:
            lines.append(f"95 % interval of the mIoU over {scores.independent} (jackknife)")
            number = scores.images if scores.groups is None else scores.groups
            if number is not None and number < UNCERTAIN:
                lines.append(f"fewer than {UNCERTAIN}, so the interval is uncertain itself")
        if scores.unlabelled_images:
            lines.append(f"images without a labelled pixel: {scores.unlabelled_images}")
        return "\n".join(lines)

    def _table(self) -> str:
        columns = [getattr(self.scores, column) for column in COLUMNS]
        rows = [
            [name, *("-" if math.isnan(value) else f"{100 * value:.1f}" for value in values)]
            for name, *values in zip(self.class_names, *columns, strict=True)
        ]
        table = _aligned([["class", *(title for title, _ in COLUMNS.values())], *rows], ">")
        undefined = self.undefined()
        notes = [
            f"- {COLUMNS[column][0]} of {', '.join(undefined[column])}: {COLUMNS[column][1]}"
            for column in COLUMNS
            if column in undefined
        ]
        return "\n".join([table, *notes])

    def _settings_table(self) -> str:
        options = "".join(f", {name} {value}" for name, value in self.data["options"].items())
        rows = [
            ["setting", "value", "from"],
            ["data", f"{self.data['dataset']}, split {self.data['split']}{options}", ""],
            *(
                [name.replace("_", " "), _shown(name, value), self.sources.get(name, "")]
                for name, value in (*self.settings.items(), *self.conditions.items())
            ),
        ]
        return _aligned(rows, "<")


def model_settings(model: Segmenter, ignore_index: int) -> dict[str, tuple[Any, str]]:
    """Return the settings that the model and the data set decide, with where they are from.

    Args:
        model: Model that was evaluated.
        ignore_index: Label of pixels that do not count.
    """
    settings: dict[str, tuple[Any, str]] = {
        "input_scales": (model.input_scales, "model"),
        "ignore_index": (ignore_index, "data set"),
    }
    if isinstance(model, ScaleProtoSeg):
        grouped = isinstance(model.head, SparseGroupHead)
        smallest = SMALLEST_GROUP_WEIGHT if grouped else SMALLEST_OWN_WEIGHT
        settings["smallest_active_weight"] = (smallest, "default")
    return settings


def current_conditions() -> dict[str, Any]:
    """Return the device, the threads and the number of processes that compute."""
    device = own_device()
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    return {"device": name, "threads": torch.get_num_threads(), "processes": world_size()}


def _aligned(rows: Sequence[Sequence[str]], others: str) -> str:
    """Return rows in columns, the first of them on the left, the others as given."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        GAP.join(
            f"{cell:{others if number else '<'}{width}}"
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _shown(name: str, value: object) -> str:
    """Return a setting as people write it."""
    if value is None:
        return {"evaluation_size": "own size", "window": "whole image"}.get(name, "none")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)
