"""`protoxai compare` with models of other libraries."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from protoxai.cli.compared_models import open_models
from protoxai.cli.main import main
from protoxai.data import Shapes
from protoxai.images import normalise

KEYS = {"data.dataset": "shapes", "data.options": {"size": 64, "length": 2}}
DATA = ["--data.dataset=shapes", "--data.options={size: 64, length: 2}"]
ASKED = ["--methods", "Saliency", "LayerGradCam", "--metrics", "pointing_game", "--tasks", "1"]
NAMES = Shapes(length=2, size=64).class_names
CODE = f"""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.backbone = nn.Conv2d(3, 8, 8, stride=8)
        self.head = nn.Conv2d(8, classes, 1)
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return {{"out": self.head(self.backbone(images))}}

net = None

def good():
    global net
    torch.manual_seed(0)
    net = Net({len(NAMES)})
    return net

def small():
    return Net(3)
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_models.py"
    path.write_text(CODE)
    yield path
    sys.modules.pop("my_models", None)


def saved(folder: Path) -> str:
    model = ScaleProtoSeg(
        "timm/test_efficientnet", len(NAMES), prototype_dim=4, pretrained=False, class_names=NAMES
    )
    model.save_pretrained(folder)
    return str(folder)


def explainers(output: Path) -> set[str]:
    results = json.loads((output / "comparison.json").read_text(encoding="utf-8"))["results"]
    return {result["explainer"] for result in results}


def test_a_function_alone_is_compared(module: Path, tmp_path: Path) -> None:
    output = tmp_path / "c"
    assert main(["compare", f"{module}:good", *DATA, *ASKED, "--output", str(output)]) == 0
    names = explainers(output)
    assert {"Net: Saliency", "Net: LayerGradCam", "Net: edges"} <= names
    # The images are normalised as those of ImageNet.
    [first, *_] = sys.modules["my_models"].net.seen
    picture = Shapes(length=2, size=64, split="val")[0]["image"]
    expected = normalise(picture, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(first[0], expected)


def test_both_kinds_are_compared_on_the_data_of_the_run(module: Path, tmp_path: Path) -> None:
    output = tmp_path / "c"
    sources = [f"{module}:good", saved(tmp_path / "model")]
    assert main(["compare", *sources, *DATA, *ASKED, "--output", str(output)]) == 0
    assert {"Net: Saliency", "ScaleProtoSeg: Saliency"} <= explainers(output)


@pytest.mark.parametrize(
    ("source", "data", "message"),
    [
        ("{module}:good", [], "a model of another library does not come with its data: name them"),
        ("{module}:small", DATA, "{module}:small returns logits of shape (1, 3, 8, 8) for one im"),
        ("{module}:big", DATA, "{module} has no function 'big'"),
        ("{folder}/no.py:good", DATA, "there is no module {folder}/no.py: give the path"),
        ("torchvision/fcn_resnet5", DATA, "torchvision has no segmentation model 'fcn_resnet5'"),
        ("torchvision/fcn_resnet50", DATA, "the weights COCO_WITH_VOC_LABELS_V1 of torchvision/fc"),
    ],
)
def test_models_that_do_not_fit_are_errors(
    source: str,
    data: list[str],
    message: str,
    module: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"module": module, "folder": tmp_path}
    arguments = [source.format(**places), *data, *ASKED, "--output", str(tmp_path / "c")]
    assert main(["compare", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"protoxai: {message.format(**places)}")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("own_first", [True, False])
def test_every_model_sees_its_own_normalisation(
    module: Path, tmp_path: Path, own_first: bool
) -> None:
    """The images are normalised as a model of the library requires; the others convert them."""
    model = LinearSegmenter(
        "timm/test_vit", len(NAMES), scales="atrous-sum", pretrained=False, class_names=NAMES
    )
    assert model.mean == (0.5, 0.5, 0.5)
    model.save_pretrained(tmp_path / "vit")
    other = saved(tmp_path / "model")
    sources = [str(tmp_path / "vit"), other] if own_first else [other, str(tmp_path / "vit")]
    opened = open_models([f"{module}:good", *sources], KEYS)
    picture = Shapes(length=2, size=64, split="val")[0]["image"]
    seen = []
    for each in opened.models[1:]:
        each.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    image = opened.view[0]["image"][None]
    with torch.no_grad():
        for each in opened.models:
            each(image)
    seen = [sys.modules["my_models"].net.seen[-1], *seen]
    for each, images in zip([None, *opened.models[1:]], seen, strict=True):
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if each is None else (each.mean, each.std)
        expected = normalise(picture, mean, std)
        torch.testing.assert_close(images[0], expected, rtol=1e-4, atol=1e-5)


def test_all_models_are_on_the_device_of_the_process(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is always a second device: one without values.
    meta = torch.device("meta")
    monkeypatch.setattr("protoxai.runtime.distributed.own_device", lambda: meta)
    opened = open_models([f"{module}:good", saved(tmp_path / "model")], KEYS)
    assert {tensor.device for model in opened.models for tensor in model.parameters()} == {meta}
    [first] = sys.modules["my_models"].net.seen
    assert first.device == meta
