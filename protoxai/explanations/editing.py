"""Corrections of a model by a person: prototypes go, and what that changes is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from protoxai.evaluation.scores import Scores, evaluate
from protoxai.evaluation.sliding import window_logits
from protoxai.explanations.evidence_changes import ExplanationChange, explanation_change
from protoxai.explanations.local import explain
from protoxai.explanations.marks import read_marks
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.projection.refit import CellScores, RefitRecord
from protoxai.runtime.checks import function, instance
from protoxai.runtime.text_tables import text_table
from protoxai.runtime.wrappers import unwrapped


@dataclass(frozen=True)
class Edit:
    """A model without some of its prototypes, and what that changes.

    Attributes:
        model: The new model.
        removed: Indices of the prototypes that it lacks, in the model before.
        refit: Record of the last layer's refit; None if it was not refitted.
        before: Scores of the model before.
        after: Scores of the new model.
        class_names: Names of the classes.
        change: What changes in the explanation of an image; None without an image.
    """

    model: ScaleProtoSeg
    removed: tuple[int, ...]
    refit: RefitRecord | None
    before: Scores
    after: Scores
    class_names: tuple[str, ...]
    change: ExplanationChange | None = None

    def to_text(self) -> str:
        """Return what was removed, and the scores before and after, for a terminal."""
        removed = ", ".join(map(str, self.removed))
        many = len(self.removed) > 1
        lines = [f"removed the prototype{'s' if many else ''} {removed}", self._table()]
        if self.refit is not None:
            lines.insert(1, f"refitted the last layer: {self.refit}")
        if self.change is not None:
            lines.append(self.change.to_text())
        return "\n\n".join(lines)

    def to_plain(self) -> dict[str, Any]:
        """Return what was removed, and the scores before and after, as plain values."""
        plain: dict[str, Any] = {"format": 1, "removed": list(self.removed)}
        for name in ("before", "after"):
            scores = getattr(self, name)
            classes = dict(zip(self.class_names, scores.per_class, strict=True))
            plain[name] = {**asdict(scores), "per_class": classes}
        if self.refit is not None:
            record = {name: value for name, value in vars(self.refit).items() if name != "model"}
            plain["refit"] = {
                name: asdict(value) if isinstance(value, CellScores) else value
                for name, value in record.items()
            }
        return plain

    def _table(self) -> str:
        pairs = [
            ("mIoU", self.before.mean_iou, self.after.mean_iou),
            ("pixel accuracy", self.before.pixel_accuracy, self.after.pixel_accuracy),
            *zip(
                (f"IoU {name}" for name in self.class_names),
                self.before.per_class,
                self.after.per_class,
                strict=True,
            ),
        ]
        lines = [["%", "before", "after", "change"]]
        for name, before, after in pairs:
            texts = f"{100 * before:6.2f} {100 * after:6.2f} {100 * (after - before):+6.2f}"
            lines.append([name, *("-" if text == "nan" else text for text in texts.split())])
        return text_table(lines)


def edit(
    model: ScaleProtoSeg,
    prototypes: str | Path | Sequence[int],
    loader: Iterable[Mapping[str, Any]],
    *,
    refit: Callable[[ScaleProtoSeg], RefitRecord] | None = None,
    image: Any = None,
    ignore_index: int = 255,
) -> Edit:
    """Remove prototypes that a person judges to be wrong, and measure what that changes.

    Source: Bontempelli et al., ProtoPDebug, ICLR 2023 (arXiv 2205.15769); Donnelly et al.,
    Proto-RSet, CVPR 2025. See :meth:`~protoxai.ScaleProtoSeg.without` and
    :func:`~protoxai.refit_last_layer` for what is changed.

    Args:
        model: Model in either stage; it stays as it is.
        prototypes: File of marks, see :func:`read_marks`, or the indices of the prototypes.
        loader: Batches to score both models on, as :func:`~protoxai.evaluation.evaluate` takes
            them. They are read twice. If the model's evaluation settings name a sliding window, it
            is used.
        refit: Function that refits the last layer of the new model, such as ``lambda model:
            refit_last_layer(model, training_loader)``; None to leave it as it is.
        image: Image to explain by both models, as :func:`~protoxai.explain` takes it; None for
            none.
        ignore_index: Label of pixels that do not count.

    Returns:
        The new model with the scores of both.

    Raises:
        TypeError: If an argument is of another type, or the model has no prototypes.
        ValueError: If the marks are of another model, a class would lose its last prototype, or a
            batch does not fit.
        NotFiniteError: If a weight, an image or a result is NaN or infinite.

    Example:
        >>> import torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
        >>> batch = {"image": torch.randn(1, 3, 32, 40), "labels": torch.zeros(1, 32, 40).long()}
        >>> edited = edit(model, [3, 17], [batch], image=batch["image"])
        >>> len(edited.model.table), edited.after.prototypes - edited.before.prototypes
        (22, -2)
        >>> abs(sum(p.change for p in edited.change.regions[0].prototypes)) > 0
        True
    """

    def score(scored: ScaleProtoSeg) -> Scores:
        logits_of = window_logits(scored, scored.evaluation_settings)
        return evaluate(scored, loader, ignore_index=ignore_index, logits_of=logits_of)

    return edit_by_scores(model, prototypes, score, refit=refit, image=image)


def edit_by_scores(
    model: ScaleProtoSeg,
    prototypes: str | Path | Sequence[int],
    score: Callable[[ScaleProtoSeg], Scores],
    *,
    refit: Callable[[ScaleProtoSeg], RefitRecord] | None = None,
    image: Any = None,
    class_names: Sequence[str] = (),
) -> Edit:
    """Remove prototypes, and measure what that changes by any scores; see :func:`edit`.

    Args:
        model: Model in either stage; it stays as it is.
        prototypes: File of marks, or the indices of the prototypes.
        score: Function that scores a model.
        refit: Function that refits the last layer of the new model; None to leave it as it is.
        image: Image to explain by both models; None for none.
        class_names: Names of the classes; those of the model by default.

    Raises:
        TypeError, ValueError, NotFiniteError: As for :func:`edit`.
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg, "it has prototypes")
    if isinstance(prototypes, str | Path):
        prototypes = [mark.index for mark in read_marks(prototypes, model)]
    edited, record = model.without(prototypes), None
    removed = tuple(sorted(int(index) for index in prototypes))
    if refit is not None:
        record = instance("refit(model)", function("refit", refit)(edited), RefitRecord)
        edited = record.model
    before, after = score(model), score(edited)
    change = None
    if image is not None:
        change = explanation_change(explain(model, image), explain(edited, image), removed)
    numbered = tuple(f"class {c}" for c in range(model.num_classes))
    names = tuple(class_names) or model.class_names or numbered
    return Edit(edited, removed, record, before, after, names, change)
