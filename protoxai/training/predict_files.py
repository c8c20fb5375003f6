"""Predictions for image files: labels as PNG, and overlays to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from protoxai.data.label_images import grey_image, indexed_image
from protoxai.evaluation.sliding import window_logits
from protoxai.images import IMAGE_SUFFIXES
from protoxai.model.prediction import predicted_labels
from protoxai.model.preprocessing import prepare
from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.model.segmenter import Segmenter
from protoxai.runtime.checks import SHARE, number, short
from protoxai.runtime.distributed import gather_results, rank, world_size
from protoxai.runtime.files import write_json
from protoxai.runtime.modes import evaluating
from protoxai.runtime.palette import Colour
from protoxai.training.evaluate_saved import open_evaluation
from protoxai.training.open_model import open_model, run_of

SUFFIXES = (*IMAGE_SUFFIXES, ".webp", ".gif")
NOTHING = -1
"""Label of pixels without a prediction, before it is encoded."""


@dataclass(frozen=True)
class PredictedFiles:
    """What :func:`predict_files` has written.

    Attributes:
        labels: Label files, one for each image that could be read.
        failed: Why each of the other images has none, by its path.
    """

    labels: tuple[Path, ...]
    failed: dict[Path, str]


def predict_files(
    source: str | Path,
    images: Sequence[Path],
    output: Path,
    *,
    abstain_below: float | None = None,
    log: Callable[[str], Any] = print,
) -> PredictedFiles:
    """Write the predictions of a saved model for image files.

    ``labels/NAME.png`` holds the class numbers: 8 bits with the colours of the classes, and 255
    where the model abstains; for more than 255 classes 16 bits, and 65535. ``overlays/NAME.png``
    is the image under these colours, and ``classes.json`` names the classes. The colours are those
    of the run's data set if its files are there, otherwise distinct ones. If ``torch.distributed``
    is initialised, each process predicts a share of the images.

    Args:
        source: Run folder, model folder, or hub id ``owner/name``.
        images: Image files, and folders of them, which are searched with their subfolders.
        output: Folder to write to.
        abstain_below: Familiarity below which a pixel has no label; see ``model.predict``.
        log: Function that receives one line for each image of this process.

    Returns:
        The files of all processes, and why others are missing: an image that cannot be read does
        not stop the rest.

    Raises:
        ValueError: If the model or a path does not fit, two images have the same name, or there is
            no image.
        ProcessError: If another process has failed.
    """
    if abstain_below is not None:
        abstain_below = number("abstain_below", abstain_below, SHARE)
    named = _named(images, output)
    model = open_model(source)
    predict = _predictor(model, abstain_below)
    palette = _palette(source, model)
    names = model.class_names or tuple(f"class {c}" for c in range(model.num_classes))
    if rank() == 0:
        rows = zip(range(model.num_classes), names, palette, strict=True)
        write_json(
            output / "classes.json",
            [{"label": label, "name": name, "colour": colour} for label, name, colour in rows],
        )

    def write_share() -> dict[Path, str | None]:
        """Return why each image of this process has no prediction, by name; None if it has one."""
        problems: dict[Path, str | None] = {}
        for name, path in list(named.items())[rank() :: world_size()]:
            problems[name] = None
            try:
                shown, predicted = predict(path)
            except (OSError, ValueError) as error:
                problems[name] = str(error)
                log(f"{path}: not predicted ({error})")
                continue
            file = output / "labels" / name
            _save(_encoded(predicted, palette), file)
            _save(_overlay(shown, predicted, palette), output / "overlays" / name)
            log(f"{path}: {file}")
        return problems

    problems: dict[Path, str | None] = {}
    for share in gather_results(write_share):
        problems |= share
    labels = tuple(output / "labels" / name for name in named if problems[name] is None)
    failed = {path: why for name, path in named.items() if (why := problems[name]) is not None}
    return PredictedFiles(labels, failed)


def _named(images: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Return the image files by the name of the file to write for each."""
    named: dict[Path, Path] = {}
    for given in images:
        if not given.exists():
            raise ValueError(f"there is no image and no folder {short(given)}: check the path")
        files = [given] if not given.is_dir() else _images_in(given, output)
        for file in files:
            inside = file.relative_to(given) if given.is_dir() else Path(file.name)
            name = inside.with_suffix(".png")
            if name in named and named[name] != file:
                raise ValueError(
                    f"{named[name]} and {file} would both be written as {name}: predict them into "
                    "different folders, or rename one"
                )
            named[name] = file
    return named


def _images_in(folder: Path, output: Path) -> list[Path]:
    """Return the images in a folder and its subfolders, without what was written to the output."""
    if folder.resolve() == output.resolve():
        raise ValueError(f"{folder} is the output folder too: write the predictions elsewhere")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.resolve().is_relative_to(output.resolve())
    )
    if not files:
        raise ValueError(f"{folder} holds no image ({', '.join(SUFFIXES)}): check the path")
    return files


def _predictor(
    model: Segmenter, abstain_below: float | None
) -> Callable[[Path], tuple[Tensor, Tensor]]:
    """Return the function from a file to its image, uint8 (3, H, W), and its labels (H, W)."""
    settings = model.evaluation_settings
    window = None if settings is None else settings.window
    logits_of = window_logits(model, settings) or model.logits
    if abstain_below is not None and not isinstance(model, ScaleProtoSeg):
        raise ValueError(
            f"the model is a {type(model).__name__}, without prototypes that an image could be "
            "unlike: leave abstain_below out"
        )
    if abstain_below is not None and window is not None:
        raise ValueError(
            f"the model predicts by a sliding window of {window[0]} x {window[1]}, over which "
            "familiarity is not defined: leave abstain_below out"
        )

    def predict(path: Path) -> tuple[Tensor, Tensor]:
        pixels, original, size = prepare(model, path)
        assert original is not None
        if isinstance(model, ScaleProtoSeg) and abstain_below is not None:
            found = model.predict(path, abstain_below=abstain_below, ignore_index=NOTHING)
        else:
            with evaluating(model):
                logits = logits_of(pixels)
            found = predicted_labels(logits, size)
        return original[0].cpu(), found[0].cpu()

    return predict


def _palette(source: str | Path, model: Segmenter) -> tuple[Colour, ...]:
    """Return the model's colours; those of the run's data set where an older folder lacks them."""
    if model.palette is None and run_of(source) is not None:
        try:
            palette = open_evaluation(source).dataset.palette
        except (OSError, ValueError):
            return model.colours
        if len(palette) == model.num_classes:
            return palette
    return model.colours


def _encoded(labels: Tensor, palette: Sequence[Colour]) -> Image.Image:
    if len(palette) > 255:
        return grey_image(labels.masked_fill(labels == NOTHING, 65_535), bits=16)
    return indexed_image(labels.masked_fill(labels == NOTHING, 255), palette)


def _overlay(image: Tensor, labels: Tensor, palette: Sequence[Colour]) -> Image.Image:
    """Return the image, half covered by the colours of its labels; as it is where there is none."""
    colours = torch.tensor(palette, dtype=torch.float32)[labels.clamp_min(0)]
    pixels = image.permute(1, 2, 0).float()
    mixed = torch.where((labels == NOTHING)[..., None], pixels, 0.5 * pixels + 0.5 * colours)
    return Image.fromarray(np.asarray(mixed.round().to(torch.uint8)))


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
