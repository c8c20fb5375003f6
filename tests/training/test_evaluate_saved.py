"""The file of scores: JSON, with the reason for every score that is not defined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from protoxai import LinearSegmenter
from protoxai.training import evaluate_model

NAMES = ["road", "Straße", "$sky$"]
NOWHERE = "no pixel is labelled or predicted as the class (n = 0)"


def strict(text: str) -> dict[str, Any]:
    """Read JSON as any reader does: NaN is not JSON."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def scores_of(folder: Path, label: int) -> dict[str, Any]:
    """The file of scores of a model that predicts the first class everywhere."""
    for kind in ("images", "labels"):
        (folder / "val" / kind).mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(folder / "val" / "images" / "a.png")
    labels = np.full((32, 32), label, np.uint8)
    Image.fromarray(labels).save(folder / "val" / "labels" / "a.png")
    model = LinearSegmenter("timm/test_resnet", 3, pretrained=False, class_names=NAMES)
    for weights in model.scales.parameters():
        torch.nn.init.zeros_(weights)
    model.save_pretrained(folder / "model")
    keys = {
        "data.dataset": "folder",
        "data.root": str(folder),
        "data.options": {"class_names": NAMES},
    }
    evaluate_model(folder / "model", keys, output=folder / "scores" / "all.json")
    return strict((folder / "scores" / "all.json").read_text(encoding="utf-8"))


def test_classes_without_pixels_are_null_with_the_reason(tmp_path: Path) -> None:
    content = scores_of(tmp_path, label=0)
    assert content["per_class"] == {"road": 1.0, "Straße": None, "$sky$": None}
    assert content["undefined"] == {"per_class": {"Straße": NOWHERE, "$sky$": NOWHERE}}
    assert content["mean_iou"] == content["labelled_classes"] == 1
    assert content["caution"] == "a single class is labelled"


def test_without_labels_nothing_is_defined(tmp_path: Path) -> None:
    content = scores_of(tmp_path, label=255)
    assert content["mean_iou"] is content["pixel_accuracy"] is None
    undefined = content["undefined"]
    assert undefined["mean_iou"] == undefined["pixel_accuracy"] == "no pixel is labelled (n = 0)"
    assert undefined["per_class"] == dict.fromkeys(NAMES, NOWHERE)


def test_an_output_that_is_a_folder_is_an_error_before_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder: give the path of a file"):
        evaluate_model(tmp_path / "none", output=tmp_path)
