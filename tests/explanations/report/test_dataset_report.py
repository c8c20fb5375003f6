import base64
import io
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from protoxai import LinearSegmenter, PrototypeTable, ScaleProtoSeg
from protoxai.evaluation import evaluate, sliding_logits
from protoxai.explanations.report import report
from protoxai.explanations.report.collect import InspectedImage, collect
from protoxai.explanations.report.page import page_classes, render
from protoxai.model.evaluation_settings import EvaluationSettings
from protoxai.prototypes.prototype import Prototype
from tests.explanations.report.cases import LabelledImages, report_model
from tests.explanations.report.test_page import payload


class Unlabelled(LabelledImages):
    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": super().__getitem__(index)["image"]}


class Sharp(LabelledImages):
    """Images that the model sees at half their size."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = super().__getitem__(index)
        labels = sample["labels"].repeat_interleave(2, 0).repeat_interleave(2, 1)
        return {**sample, "labels": labels}

    def raw(self, index: int) -> Any:
        class Raw:
            image = torch.full((3, 64, 96), 40 * index, dtype=torch.uint8)

        return Raw()


def written(tmp_path: Path, model: ScaleProtoSeg, data: Any, **options: Any) -> str:
    path = report(model, data, tmp_path / "a" / "report.html", **options)
    assert path == tmp_path / "a" / "report.html"
    return path.read_text(encoding="utf-8")


def test_results_are_those_of_an_evaluation(tmp_path: Path) -> None:
    model, data = report_model(2), LabelledImages(4)
    html = written(tmp_path, model, data)
    batches = [{k: v[None] for k, v in data[i].items() if k != "id"} for i in range(4)]
    scores = evaluate(model, batches)
    assert f"{100 * scores.mean_iou:.1f} %" in html
    for value in scores.per_class:
        assert f"{100 * value:.1f}</td>" in html


def test_results_are_by_the_sliding_window_that_the_model_carries(tmp_path: Path) -> None:
    model, data = report_model(2), LabelledImages(4)
    whole = written(tmp_path, model, data)
    model.evaluation_settings = EvaluationSettings(window=(8, 8), stride=(4, 4))
    html = written(tmp_path, model, data)
    batches = [{k: v[None] for k, v in data[i].items() if k != "id"} for i in range(4)]
    windows = partial(sliding_logits, model, window=(8, 8), stride=(4, 4))
    scores = f"{100 * evaluate(model, batches, logits_of=windows).mean_iou:.1f} %"
    assert scores in html
    assert scores not in whole
    assert "sliding window of 8 x 8" in html
    assert "sliding window" not in whole


def test_data_of_other_classes_are_refused(tmp_path: Path) -> None:
    model, data = report_model(2), LabelledImages(1)
    data.class_names = ("sky", "road")  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"data\.class_names are .* the model has 3 classes"):
        report(model, data, tmp_path / "report.html")


def test_images_go_from_best_to_worst(tmp_path: Path) -> None:
    model, data = report_model(2), LabelledImages(9)
    html = written(tmp_path, model, data, images=9)
    shares = [image["share_right"] for image in payload(html)["images"]]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    few = payload(written(tmp_path, model, data, images=3))["images"]
    assert [few[0]["share_right"], few[-1]["share_right"]] == [shares[0], shares[-1]]


def test_there_may_be_no_images_or_fewer_than_asked_for(tmp_path: Path) -> None:
    html = written(tmp_path, report_model(2), LabelledImages(2), images=0)
    assert payload(html)["images"] == []
    assert 'id="stage"' not in html
    assert len(payload(written(tmp_path, report_model(2), LabelledImages(2)))["images"]) == 2


def test_data_without_labels_have_no_results(tmp_path: Path) -> None:
    html = written(tmp_path, report_model(2), Unlabelled(5), images=2)
    assert 'id="results"' not in html
    images = payload(html)["images"]
    assert [image["name"] for image in images] == ["Image 0", "Image 4"]
    assert {image["labels"] for image in images} == {None}


def test_images_have_the_size_of_their_labels_and_their_own_pixels(tmp_path: Path) -> None:
    data = Sharp(2)
    image = payload(written(tmp_path, report_model(2), data, images=1))["images"][0]
    assert image["size"] == [64, 96]
    content = base64.b64decode(image["picture"].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert pixels.shape == (64, 96, 3)
    assert np.ptp(pixels) <= 2


def test_the_head_of_the_page_says_what_it_is_about(tmp_path: Path) -> None:
    options = {"title": "Streets", "details": {"Data": "camvid, val"}}
    html = written(tmp_path, report_model(2), LabelledImages(3), images=2, **options)
    for text in ('<h1 dir="auto">Streets</h1>', "camvid, val", "3, 2 of them below"):
        assert text in html
    assert "ScaleProtoSeg, stage 2" in html


def test_the_data_s_names_and_colours_are_used(tmp_path: Path) -> None:
    model = report_model(2)
    model.class_names = None
    classes = payload(written(tmp_path, model, LabelledImages(1)))["classes"]
    assert classes[1] == {"name": "road", "colour": "#c86400"}


def test_the_model_stays_as_it_is(tmp_path: Path) -> None:
    model = report_model(2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    written(tmp_path, model, LabelledImages(1))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": LinearSegmenter(nn.Conv2d(3, 4, 3), 2)}, TypeError, "model is .*LinearSegm"),
        ({"data": []}, ValueError, "data is empty, expected a data set with at least one image"),
        ({"data": 3}, TypeError, r"data is 3 \(int\), expected a data set with len and \[\]"),
        ({"data": [3]}, TypeError, 'item 0 is 3, expected a mapping with "image"'),
        ({"images": -1}, ValueError, "images is -1, expected a whole number"),
        ({"images": "8"}, TypeError, "images is '8', expected a whole number"),
        ({"path": 3}, TypeError, "path is 3"),
        ({"path": ""}, ValueError, "path is empty"),
        ({"patches": "no"}, TypeError, "patches is 'no', expected True or False"),
        ({"inactive": None}, TypeError, "inactive is None, expected True or False"),
        ({"title": 3}, TypeError, "title is 3 .int., expected a str: text"),
        ({"details": "camvid"}, TypeError, "details is 'camvid' .str., expected a Mapping"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"model": report_model(1), "data": LabelledImages(1), "path": tmp_path / "r.html"}
    with pytest.raises(error, match=message):
        report(**{**given, **change})
    assert not (tmp_path / "r.html").exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"which is a folder: give the path of a file"):
        report(report_model(1), LabelledImages(1), tmp_path)


def large_page(prototypes: int, classes: int, images: int) -> tuple[str, float]:
    """A page of maps and photos as large as those of CamVid, and the seconds it takes."""
    table = PrototypeTable.regular(classes, 4, prototypes // (4 * classes))
    model = ScaleProtoSeg(nn.Conv2d(3, 4, 8, stride=8), classes, table=table, prototype_dim=4)
    head = model.group().head
    noise = np.random.default_rng(0)
    picture = noise.integers(0, 255, (192, 192, 3), np.uint8) // 8 + 100
    same = {
        "class_name": "",
        "group_weights": {},
        "first_group": 0,
        "active": True,
        "provenance": None,
        "patch": picture,
        "box": (60, 60, 130, 130),
        "cell": (90, 90, 100, 100),
        "activation": np.ones((192, 192), np.float32),
    }
    places = zip(table.class_index.tolist(), table.scale_index.tolist(), strict=True)
    entries = [
        Prototype(index=p, class_index=c, scale=s, **same) for p, (c, s) in enumerate(places)
    ]
    activations = torch.rand(len(table), 45, 60) * 4
    with torch.no_grad():
        logits = head(activations[None])[0]
    blocky = np.repeat(np.repeat(noise.integers(0, 255, (90, 120, 3), np.uint8), 4, 0), 4, 1)
    labels = np.repeat(np.repeat(noise.integers(0, classes, (45, 60)), 8, 0), 8, 1)
    one = InspectedImage("a", blocky, activations, logits, labels, labels, labels / classes)
    start = time.perf_counter()
    page = collect(
        head,
        entries,
        [one] * images,
        page_classes([f"c{i}" for i in range(classes)], None),
        patches=True,
        inactive=False,
    )
    html = render(page, "Large", {})
    return html, time.perf_counter() - start


@pytest.mark.slow
def test_eight_images_of_a_street_scene_are_small_and_fast() -> None:
    html, seconds = large_page(132, 11, 8)
    assert len(html.encode()) <= 15e6
    assert seconds <= 60


@pytest.mark.slow
def test_1800_prototypes_are_written() -> None:
    html, seconds = large_page(1800, 150, 2)
    assert len(html.encode()) <= 40e6
    assert seconds <= 60


def test_classes_in_another_order_are_refused(tmp_path: Path) -> None:
    data = LabelledImages()
    data.class_names = ("road", "sky", "tree")  # type: ignore[assignment]
    model = report_model(2, ["sky", "road", "tree"])
    with pytest.raises(ValueError, match="the model has these classes in another order"):
        report(model, data, tmp_path / "report.html")
