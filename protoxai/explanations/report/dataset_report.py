"""The report on a model: results, prototypes, and the pixels of some images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from protoxai.explanations.inputs import check_data_set
from protoxai.explanations.local import explain
from protoxai.explanations.report.collect import InspectedImage, collect, known_labels, rgb_pixels
from protoxai.explanations.report.page import (
    head_facts,
    inspected_image,
    page_classes,
    page_title,
    render,
)
from protoxai.explanations.report.sight import measured_sight
from protoxai.labels import labels_at
from protoxai.model.prediction import predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.runtime.checks import Range, flag, instance, palette_of, shown, whole
from protoxai.runtime.distributed import gather, rank, world_size
from protoxai.runtime.files import write_file
from protoxai.runtime.paths import expanded
from protoxai.runtime.wrappers import unwrapped

if TYPE_CHECKING:
    from protoxai.evaluation.scores import Scores

IMAGES = Range(least=0, most=1000)


def report(
    model: ScaleProtoSeg,
    data: Any,
    path: str | os.PathLike[str],
    images: int = 8,
    *,
    patches: bool = True,
    inactive: bool = False,
    title: str | None = None,
    details: Mapping[str, str] | None = None,
) -> Path:
    """Write a report on a model: one HTML file that opens anywhere and loads nothing.

    It has the results on labelled data, a gallery of the prototypes, and an inspector of some
    images, which shows for each pixel the scores of the classes and the groups and prototypes that
    they are made of. Of labelled data the images are chosen evenly from the one that is predicted
    best to the one that is predicted worst; of other data, evenly over the data set. The results
    are those of the model's evaluation settings, with their sliding window if they name one; the
    inspector shows how the model sees an image as a whole. If ``torch.distributed`` is initialised,
    each process scores its share of the images, and the first one writes.

    Args:
        model: Model in either stage.
        data: Data set with ``len`` and ``[]``, whose items are mappings with "image" (3, H, W),
            normalised, and perhaps "labels" (h, w) and "id". Its ``class_names``, ``palette``,
            ``ignore_index`` and ``group`` are used if it has them, and for sharper pictures its
            ``raw(index).image``, uint8 (3, h, w).
        path: HTML file to write.
        images: Number of images of the inspector; at most all of the data are shown.
        patches: Whether to include the training pictures of the prototypes.
        inactive: Whether to list the prototypes that no group uses.
        title: Title of the report; None for the model's name.
        details: Further lines about the model, the data and the settings, by their names.

    Returns:
        The path of the file.

    Raises:
        TypeError: If an argument is of another type, or the model has no prototypes.
        ValueError: If a number is out of range, or the data are empty or do not fit the model.

    Example:
        >>> import tempfile, torch
        >>> model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4).group()
        >>> data = [{"image": torch.randn(3, 32, 40), "labels": torch.zeros(32, 40).long()}]
        >>> path = report(model, data, Path(tempfile.mkdtemp()) / "report.html")
        >>> path.read_text(encoding="utf-8").startswith("<!doctype html>")
        True
    """
    hint = "a model without prototypes has no evidence to show"
    model = instance("model", unwrapped(model), ScaleProtoSeg, hint)
    path = _file(path)
    images = whole("images", images, IMAGES)
    patches, inactive = flag("patches", patches), flag("inactive", inactive)
    title = page_title(title, type(model).__name__)
    details = instance("details", {} if details is None else details, Mapping, "names with text")
    check_data_set(data)
    count = len(data)
    ignore_index = getattr(data, "ignore_index", 255)
    scores, order = _results(model, data, ignore_index)
    if rank() != 0:
        return path
    chosen = _spread(order, min(images, count))
    names = _class_names(model, data)
    palette = getattr(data, "palette", None)
    if palette is not None:
        palette = palette_of("data.palette", palette, model.num_classes)
    page = collect(
        model.head,
        model.prototypes,
        [_inspected(model, data, index, ignore_index) for index in chosen],
        page_classes(names, palette or model.colours),
        patches=patches,
        inactive=inactive,
    )
    facts = {
        **_model_facts(model),
        **head_facts(model.head, page),
        **details,
        "Images": f"{count:,}" + (f", {len(chosen)} of them below" if chosen else ""),
    }
    sight = measured_sight(model, (_sample(data, index)["image"] for index in chosen))
    write_file(path, render(page, title, facts, scores, sight))
    return path


def _file(path: str | os.PathLike[str]) -> Path:
    file = expanded(Path(path) if isinstance(path, os.PathLike) else path, "path")
    if file.is_dir():
        raise ValueError(f"path is {file}, which is a folder: give the path of a file")
    return file


def _class_names(model: ScaleProtoSeg, data: Any) -> Sequence[str]:
    """Return the names of the classes: the model's, or else those of the data."""
    of_data = getattr(data, "class_names", None)
    if of_data is not None and len(of_data) != model.num_classes:
        raise ValueError(
            f"data.class_names are {shown(of_data)}, but the model has {model.num_classes} "
            "classes: give data of the model's own classes"
        )
    names = model.class_names
    if names and of_data and names != tuple(of_data) and set(names) == set(of_data):
        raise ValueError(
            f"data.class_names are {shown(of_data)}, but the model has these classes in another "
            f"order, {shown(names)}: give data with the model's order"
        )
    return names or of_data or [f"class {i}" for i in range(model.num_classes)]


def _sample(data: Any, index: int) -> Mapping[str, Any]:
    item = data[index]
    if not isinstance(item, Mapping) or "image" not in item:
        raise TypeError(
            f'data: item {index} is {shown(item)}, expected a mapping with "image" and perhaps '
            '"labels" and "id"'
        )
    return item


def _results(model: ScaleProtoSeg, data: Any, ignore_index: int) -> tuple[Scores | None, list[int]]:
    """Return the scores, if the data have labels, and the images from best to worst predicted.

    Each process scores its share of the images.
    """
    if "labels" not in _sample(data, 0):
        return None, list(range(len(data)))
    from protoxai.evaluation.scores import evaluate
    from protoxai.evaluation.sliding import window_logits

    own: dict[int, float] = {}

    def keep_share(predicted: Tensor, batch: Mapping[str, Any]) -> None:
        labels = batch["labels"].to(predicted.device)
        known = labels != ignore_index
        right = (predicted == labels) & known
        own[int(batch["index"])] = float(right.sum()) / max(int(known.sum()), 1)

    scores = evaluate(
        model,
        _batches(data),
        ignore_index=ignore_index,
        logits_of=window_logits(model, model.evaluation_settings),
        on_batch=keep_share,
        group_of=getattr(data, "group", None),
    )
    shares = {index: share for each in gather(own) for index, share in each.items()}
    return scores, sorted(sorted(shares), key=lambda index: -shares[index])


def _batches(data: Any) -> Iterator[dict[str, Any]]:
    """Yield this process's share of the samples of a data set, as batches of one."""
    for index in range(rank(), len(data), world_size()):
        sample = _sample(data, index)
        batch = {name: sample[name][None] for name in ("image", "labels") if name in sample}
        yield {**batch, "index": torch.tensor([index]), "id": [_name(sample, index)]}


def _name(sample: Mapping[str, Any], index: int) -> str:
    return str(sample.get("id", f"Image {index}"))


def _spread(order: list[int], count: int) -> list[int]:
    """Return items at even distances, the first and the last among them.

    Example:
        >>> _spread([5, 6, 7, 8, 9], 3)
        [5, 7, 9]
    """
    if count < 2:
        return order[:count]
    return [order[round(place * (len(order) - 1) / (count - 1))] for place in range(count)]


def _inspected(model: ScaleProtoSeg, data: Any, index: int, ignore_index: int) -> InspectedImage:
    """Return an image for the inspector, at the size of its labels."""
    sample = _sample(data, index)
    explanation = explain(model, sample["image"])
    image = inspected_image(explanation, _name(sample, index))
    if "labels" in sample:
        labels = sample["labels"]
        labels = labels.masked_fill(labels == ignore_index, -1)
        size = (labels.shape[0], labels.shape[1])
        familiarity = explanation.familiarity
        image = replace(
            image,
            prediction=predicted_labels(explanation.output.logits, size)[0].numpy(),
            labels=known_labels(labels, model.num_classes),
            familiarity=None if familiarity is None else labels_at(familiarity, size).numpy(),
        )
    original = data.raw(index).image if hasattr(data, "raw") else None
    if isinstance(original, Tensor) and original.dtype == torch.uint8:
        image = replace(image, picture=rgb_pixels(original))
    return image


def _model_facts(model: ScaleProtoSeg) -> dict[str, str]:
    backbone = model.config["backbone"] or type(model.backbone).__name__
    facts = {
        "Model": f"{type(model).__name__}, stage {2 if model.grouped else 1}",
        "Trunk": backbone,
    }
    settings = model.evaluation_settings
    if settings is not None and settings.window is not None:
        height, width = settings.window
        facts["Results"] = f"by a sliding window of {height} x {width}; pixels: whole images"
    return facts
