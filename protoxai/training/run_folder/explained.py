"""Explanations at the end of a run: a success, a mistake, and the report."""

from __future__ import annotations

import io
from pathlib import Path

from torch import Tensor

from protoxai.data import SegmentationDataset
from protoxai.explanations import explain
from protoxai.explanations.report import report
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.files import write_file
from protoxai.training.feeding.loaders import evaluation_view
from protoxai.training.recipes.data_recipe import DataRecipe

CANDIDATES = 40
"""Number of images, spread over the data, among which two are chosen."""
SMALLEST_SHARE = 0.01
"""Share of an image from which on a class counts as shown."""
REPORT_IMAGES = 8
SUCCESS, MISTAKE, REPORT = "explanation.png", "mistake.png", "report.html"


def write_explanations(
    model: Segmenter, data: SegmentationDataset, recipe: DataRecipe, folder: Path
) -> list[str]:
    """Write the figures of an image that is predicted well and of one that is not, and the report.

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
    success, mistake = chosen_images(model, data)
    for index, name in ((success, SUCCESS), (mistake, MISTAKE)):
        raw = data.raw(index)
        explanation = explain(model, raw.image, raw.labels, ignore_index=data.ignore_index)
        picture = io.BytesIO()
        explanation.figure(palette=data.palette).savefig(picture, format="png")
        write_file(folder / name, picture.getvalue())
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


def _shown_classes(labels: Tensor, pixels: int) -> int:
    return int((labels.unique(return_counts=True)[1] >= SMALLEST_SHARE * pixels).sum())
