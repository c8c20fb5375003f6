"""Explanations at the end of a run: a success, a mistake, and the report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from protoxai.data import SegmentationDataset
from protoxai.explanations import Explanation, contrast_figure, explain
from protoxai.explanations.report import report
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.components import connected_components
from protoxai.runtime.distributed import rank
from protoxai.runtime.files import write_file
from protoxai.training.feeding.loaders import evaluation_view
from protoxai.training.recipes.data_recipe import DataRecipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CANDIDATES = 40
"""Number of images, spread over the data, among which two are chosen."""
SMALLEST_SHARE = 0.01
"""Share of an image from which on a class counts as shown."""
REPORT_IMAGES = 8
SUCCESS, MISTAKE, REPORT = "explanation.png", "mistake.png", "report.html"


def write_explanations(
    model: Segmenter, data: SegmentationDataset, recipe: DataRecipe, folder: Path
) -> list[str]:
    """Write the figures of an image that is predicted well and of a mistake, and the report.

    All processes of a run call this; the first one writes. The mistake is the largest wrong region
    of an image that is predicted badly: why the model prefers its class to the true one.

    Args:
        model: Trained model; without prototypes, nothing is written.
        data: Validation data, without a transform.
        recipe: Data section of the recipe.
        folder: Folder of the run.

    Returns:
        The names of the files.
    """
    if not isinstance(model, ScaleProtoSeg):
        return []
    if rank() == 0:
        success, mistake = chosen_images(model, data)
        _write(folder / SUCCESS, _explained(model, data, success).figure())
        explanation = _explained(model, data, mistake)
        wrong = largest_mistake(explanation)
        if wrong is None:
            _write(folder / MISTAKE, explanation.figure())
        else:
            region, predicted, true = wrong
            _write(folder / MISTAKE, contrast_figure(explanation, predicted, true, region))
    view = evaluation_view(data, recipe, model)
    details = {"Data": f"{recipe.dataset}, split {recipe.validation_split}"}
    report(model, view, folder / REPORT, REPORT_IMAGES, details=details)
    return [SUCCESS, MISTAKE, REPORT]


def chosen_images(model: ScaleProtoSeg, data: SegmentationDataset) -> tuple[int, int]:
    """Return an image that is predicted well and one that is predicted badly.

    Among images that show many classes, the first has the largest share of correct pixels; of all
    images, the second has the smallest.

    Args:
        model: Trained model.
        data: Data without a transform.
    """
    count = min(CANDIDATES, len(data))
    candidates = [number * len(data) // count for number in range(count)]
    classes, right = {}, {}
    for index in candidates:
        raw = data.raw(index)
        known = raw.labels != data.ignore_index
        predicted = model.predict(raw.image)[0].cpu()
        classes[index] = _shown_classes(raw.labels[known], raw.labels.numel())
        right[index] = float((predicted == raw.labels)[known].double().mean())
    scored = [index for index in candidates if right[index] == right[index]] or candidates
    median = sorted(classes[index] for index in scored)[len(scored) // 2]
    success = max((i for i in scored if classes[i] >= median), key=right.__getitem__)
    return success, min(scored, key=right.__getitem__)


def largest_mistake(explanation: Explanation) -> tuple[Tensor, int, int] | None:
    """Return the largest connected region of one class that is predicted as one other.

    Args:
        explanation: Explanation with true labels.

    Returns:
        The region, bool (H, W), the predicted class and the true one; None if nothing is wrong.
    """
    predicted, labels = explanation.prediction, explanation.labels
    if labels is None:
        return None
    count = len(explanation.class_names)
    wrong = (predicted != labels) & (labels >= 0) & (labels < count)
    best, size = None, 0
    for pair in (predicted * count + labels)[wrong].unique().tolist():
        one, true = divmod(pair, count)
        components, _ = connected_components(((predicted == one) & (labels == true)).numpy())
        sizes = np.bincount(components.ravel())[1:]
        if sizes.max() > size:
            best, size = (components == sizes.argmax() + 1, one, true), int(sizes.max())
    return None if best is None else (torch.from_numpy(best[0]), best[1], best[2])


def _explained(model: ScaleProtoSeg, data: SegmentationDataset, index: int) -> Explanation:
    raw = data.raw(index)
    explanation: Explanation = explain(model, raw.image, raw.labels, ignore_index=data.ignore_index)
    return explanation


def _write(path: Path, figure: Figure) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_file(path, picture.getvalue())


def _shown_classes(labels: Tensor, pixels: int) -> int:
    return int((labels.unique(return_counts=True)[1] >= SMALLEST_SHARE * pixels).sum())
