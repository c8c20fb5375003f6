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
from protoxai.data import Shapes
from protoxai.model.loading import load_model
from protoxai.training import EvaluationSettings, Recipe, evaluate_model, run
from tests.training.cases import micro, write

NAMES = ["road", "Straße", "$sky$"]
NOWHERE = "no pixel is labelled or predicted as the class (n = 0)"
NEVER_PREDICTED = "no labelled pixel is predicted as the class (n = 0)"
NEVER_LABELLED = "no pixel is labelled as the class (n = 0)"


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
    others = ["Straße", "$sky$"]
    assert content["undefined"] == {
        "interval": "1 image with labels, an interval needs 6",
        "per_class": dict.fromkeys(others, NOWHERE),
        "dice": dict.fromkeys(others, NOWHERE),
        "precision": dict.fromkeys(others, NEVER_PREDICTED),
        "recall": dict.fromkeys(others, NEVER_LABELLED),
    }
    for name in ("dice", "precision", "recall"):
        assert content[name] == {"road": 1.0, "Straße": None, "$sky$": None}
    assert content["mean_iou"] == content["labelled_classes"] == 1
    assert content["caution"] == "a single class is labelled"


def test_without_labels_nothing_is_defined(tmp_path: Path) -> None:
    content = scores_of(tmp_path, label=255)
    assert content["mean_iou"] is content["pixel_accuracy"] is None
    undefined = content["undefined"]
    assert undefined["mean_iou"] == undefined["pixel_accuracy"] == "no pixel is labelled (n = 0)"
    assert undefined["per_class"] == dict.fromkeys(NAMES, NOWHERE)
    assert undefined["interval"] == "0 images with labels, an interval needs 6"
    assert (content["images"], content["unlabelled_images"]) == (0, 1)


def test_an_output_that_is_a_folder_is_an_error_before_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder: give the path of a file"):
        evaluate_model(tmp_path / "none", output=tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose images are evaluated at another size than their own."""
    folder = tmp_path_factory.mktemp("trained")
    keys = micro()
    keys["data"].update(evaluation_size=[24, 40], antialias=False, projection_size="native")
    recipe = Recipe.load(write(keys, folder))
    run(recipe, folder / "run", log=lambda _: None, progress=False, check=False)
    return folder / "run"


DATA = {"data.dataset": "shapes", "data.options": {"size": 64, "length": 8}}


def plain(source: Path, output: Path, keys: Any = (), **sliding: Any) -> dict[str, Any]:
    evaluate_model(source, keys, output=output, **sliding)
    return strict(output.read_text())


def test_a_run_and_its_model_folder_have_the_same_figures(trained: Path, tmp_path: Path) -> None:
    of_run = plain(trained, tmp_path / "run.json")
    of_model = plain(trained / "model", tmp_path / "model.json", DATA)
    sources = [content.pop("sources") for content in (of_run, of_model)]
    assert of_run == of_model
    assert of_run["settings"] == {
        "evaluation_size": [24, 40],
        "antialias": False,
        "window": None,
        "stride": None,
        "input_scales": [],
        "ignore_index": 255,
        "smallest_active_weight": 0.05,
    }
    assert of_run["data"] == {
        "dataset": "shapes",
        "options": {"size": 64, "length": 8},
        "split": "val",
    }
    assert (sources[0]["antialias"], sources[1]["antialias"]) == ("recipe", "model folder")
    # The scores of the last step of the run are the same.
    last = json.loads((trained / "metrics.json").read_text())["micro"]["steps"][-1]
    assert last["mean_iou"] == of_run["mean_iou"]
    assert last["interval"] == of_run["interval"]
    # They travel with the model.
    model = load_model(trained / "model")
    model.save_pretrained(tmp_path / "again")
    again = plain(tmp_path / "again", tmp_path / "again.json", DATA)
    assert again == {**of_model, "sources": sources[1]}
    # Without its settings the folder would have other figures.
    model.evaluation_settings = None
    model.save_pretrained(tmp_path / "bare")
    bare = plain(tmp_path / "bare", tmp_path / "bare.json", DATA)
    assert bare["per_class"] != of_model["per_class"]
    assert bare["settings"]["evaluation_size"] is None
    assert set(bare["sources"].values()) == {"default", "model", "data set"}


def test_what_is_given_overrides_what_a_folder_carries(trained: Path, tmp_path: Path) -> None:
    for source, keys in ((trained, {}), (trained / "model", DATA)):
        content = plain(source, tmp_path / "scores.json", {**keys, "data.evaluation_size": 32})
        assert content["settings"]["evaluation_size"] == 32
        assert content["settings"]["antialias"] is False
        assert content["sources"]["evaluation_size"] == "given"


def test_a_window_that_a_folder_carries_is_used(trained: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(window=(32, 32), stride=(32, 32))
    model = load_model(trained / "model")
    model.save_pretrained(tmp_path / "windowed", documents=settings.documents())
    model.evaluation_settings = None
    model.save_pretrained(tmp_path / "bare")
    carried = plain(tmp_path / "windowed", tmp_path / "a.json", DATA)
    given = plain(tmp_path / "bare", tmp_path / "b.json", DATA, window=(32, 32), stride=(32, 32))
    assert carried["sources"].pop("window") == "model folder"
    del carried["sources"], given["sources"]
    assert carried == given
    whole = plain(tmp_path / "bare", tmp_path / "c.json", DATA)
    assert whole["per_class"] != given["per_class"]


def test_images_of_a_group_of_the_data_set_belong_together(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shapes, "group", lambda self, index: index // 4)
    report = evaluate_model(trained)
    assert (report.scores.images, report.scores.groups, report.scores.interval) == (8, 2, None)
    assert "no interval: 2 groups of images with labels, an interval needs 6" in report.to_text()


def test_the_text_has_every_figure_with_its_settings(trained: Path) -> None:
    report = evaluate_model(trained / "model", DATA)
    text = report.to_text()
    scores, table, settings = text.split("\n\n")
    low, high = report.scores.interval
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in scores
    assert "95 % interval of the mIoU over 8 images (jackknife)\nfewer than 20, so" in scores
    assert all(len(line) <= 80 for line in text.splitlines())
    head, *rows = table.splitlines()
    assert head.split() == ["class", "IoU", "Dice", "precision", "recall"]
    for row, name, *values in zip(
        rows, report.class_names, report.scores.per_class, report.scores.dice,
        report.scores.precision, report.scores.recall, strict=False,
    ):  # fmt: skip
        expected = ["-" if value != value else f"{100 * value:.1f}" for value in values]
        assert row.split() == [*name.split(), *expected]
    lines = [line.split("  ") for line in settings.splitlines()]
    shown = {line[0]: [part.strip() for part in line[1:] if part] for line in lines}
    assert shown["data"][0] == "shapes, split val, size 64, length 8"
    assert shown["evaluation size"] == ["24, 40", "model folder"]
    assert shown["window"] == ["whole image", "model folder"]
    assert shown["ignore index"] == ["255", "data set"]
    assert shown["processes"] == ["1"]
