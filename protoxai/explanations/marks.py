"""Files of marks: the prototypes that a person has judged to be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protoxai.model.scaleprotoseg import ScaleProtoSeg
from protoxai.prototypes.prototype import Prototype
from protoxai.runtime.checks import Range, instance, shown, whole
from protoxai.runtime.files import FileError, read_json, regular_file
from protoxai.runtime.paths import expanded
from protoxai.runtime.wrappers import unwrapped

FORMAT = 1


@dataclass(frozen=True)
class Mark:
    """A prototype that a person has marked.

    Attributes:
        index: Index of the prototype in the model.
        class_name: Name of its class.
        image_id: Name of the training image that it is from; None if that is unknown.
        reason: Why it was marked; empty if nothing was noted.
    """

    index: int
    class_name: str
    image_id: str | None = None
    reason: str = ""


def read_marks(path: str | Path, model: ScaleProtoSeg) -> tuple[Mark, ...]:
    """Read a file of marks, as a report saves it, and check that they are of a model.

    The file is JSON: ``{"format": 1, "prototypes": [{"index": 3, "class": "car", "image_id":
    "0001", "reason": "a shadow"}]}``. The class and the image of each prototype have to be those
    of the model's, so that marks of another model are refused; of a model without class names, the
    image alone.

    Args:
        path: Path of the file.
        model: Model in either stage.

    Returns:
        The marks, in the order of the file.

    Raises:
        TypeError: If the model has no prototypes.
        FileError: If the file cannot be read, or is no such file, or of another model.
    """
    model = instance("model", unwrapped(model), ScaleProtoSeg, "it has prototypes")
    path = regular_file(expanded(path, "marks"))
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("prototypes"), list):
        raise FileError(
            f'{path} holds {shown(content)}, expected {{"format": {FORMAT}, "prototypes": [...]}}: '
            "save the marks again in a report of the model"
        )
    if content.get("format") != FORMAT:
        raise FileError(
            f"{path} has the format {shown(content.get('format'))}, but this version of protoxai "
            f"reads the format {FORMAT}: update protoxai, or save the marks again"
        )
    if not content["prototypes"]:
        raise FileError(f"{path} marks no prototype: mark some in a report of the model")
    marks = [_mark(path, entry) for entry in content["prototypes"]]
    indices = [mark.index for mark in marks]
    if len(set(indices)) < len(indices):
        twice = next(index for index in indices if indices.count(index) > 1)
        raise FileError(f"{path} marks prototype {twice} twice: remove one of the entries")
    for mark in marks:
        _check(path, mark, model)
    return tuple(marks)


def _mark(path: Path, entry: Any) -> Mark:
    """Return a mark, or raise an error that names what does not fit."""
    if not isinstance(entry, Mapping) or not {"index", "class", "image_id"} <= set(entry):
        raise FileError(
            f'{path}: a mark is {shown(entry)}, expected "index", "class" and "image_id", and '
            'perhaps "reason"'
        )
    try:
        index = whole("index", entry["index"], Range(least=0))
    except (TypeError, ValueError) as error:
        raise FileError(f"{path}: a mark is wrong: {error}") from None
    texts = {"class": entry["class"], "reason": entry.get("reason") or ""}
    if entry["image_id"] is not None:
        texts["image_id"] = entry["image_id"]
    for name, text in texts.items():
        if not isinstance(text, str):
            raise FileError(f'{path}: the "{name}" of mark {index} is {shown(text)}, expected text')
    return Mark(index, entry["class"], entry["image_id"], texts["reason"])


def _check(path: Path, mark: Mark, model: ScaleProtoSeg) -> None:
    """Raise ``FileError`` unless a mark is of one of the model's prototypes."""
    count = len(model.table)
    if mark.index >= count:
        found = f"the model has {count} prototypes"
    else:
        prototype = model.prototypes[mark.index]
        # A report on a model without names has those of the data.
        same_class = model.class_names is None or mark.class_name == prototype.class_name
        if same_class and mark.image_id == image_of(prototype):
            return
        found = f"that of the model is of {_described(prototype.class_name, image_of(prototype))}"
    raise FileError(
        f"{path} marks prototype {mark.index} of {_described(mark.class_name, mark.image_id)}, but "
        f"{found}: the marks are of another model, mark prototypes in a report of this one"
    )


def image_of(prototype: Prototype) -> str | None:
    """Return the name of the training image that a prototype is from; None if it is unknown."""
    return None if prototype.provenance is None else prototype.provenance.image_id


def _described(class_name: str, image_id: str | None) -> str:
    image = "no known image" if image_id is None else f"image {shown(image_id)}"
    return f"class {shown(class_name)} from {image}"
