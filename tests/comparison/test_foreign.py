"""Models of other libraries, by torchvision's names and by functions."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from protoxai.comparison.foreign import check_foreign, is_foreign, load_foreign

NAME = "torchvision/lraspp_mobilenet_v3_large"
CODE = """
from torch import nn

def model():
    return nn.Conv2d(3, 4, 1).train()

def weights():
    return nn.Conv2d(3, 4, 1).state_dict()
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_models.py"
    path.write_text(CODE)
    yield path
    sys.modules.pop("my_models", None)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (NAME, True),
        (f"{NAME}?weights=a.pth", True),
        ("my.py:net", True),
        ("a.b:net", True),
        ("runs/shapes", False),
        ("owner/name", False),
        ("torchvision_run", False),
    ],
)
def test_which_texts_name_models_of_other_libraries(source: str, found: bool) -> None:
    assert is_foreign(source) == found


def test_an_existing_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_foreign("torchvision/run")


def test_a_function_makes_the_model(module: Path) -> None:
    model = load_foreign(f"{module}:model", 4)
    assert isinstance(model, nn.Conv2d)
    assert not model.training


def test_a_function_that_makes_something_else_is_an_error(module: Path) -> None:
    with pytest.raises(ValueError, match=r":weights returns a OrderedDict, expected a torch.nn.M"):
        load_foreign(f"{module}:weights", 4)


def test_weights_of_torchvision_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    file = tmp_path / "mine.pth"
    torch.save(saved.state_dict(), file)
    model = load_foreign(f"{NAME}?weights={file}", 4)
    assert not model.training
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(image)["out"], saved(image)["out"])
    with pytest.raises(ValueError, match=r"lraspp.* with the data's 5 classes.*another shape"):
        load_foreign(f"{NAME}?weights={file}", 5)


def test_released_weights_have_to_be_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    for source in (NAME, f"{NAME}?weights=DEFAULT"):
        with pytest.raises(ValueError, match=r"COCO_WITH_VOC_LABELS_V1 .* cannot be loaded"):
            load_foreign(source, 21)


def test_released_weights_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: saved.state_dict()
    )
    model = load_foreign(NAME, 21)
    assert torch.equal(model.backbone["0"][0].weight, saved.backbone["0"][0].weight)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("torchvision/fcn_resnet5", r"no segmentation model 'fcn_resnet5' \(did you mean 'fcn_re"),
        ("torchvision/resnet50", "no segmentation model 'resnet50'.*expected one of deeplabv3"),
        (f"{NAME}?weights=none.pth", "there is no file 'none.pth', expected .*one of .*DEFAULT"),
        (f"{NAME}?pretrained", "there is no file 'pretrained', expected .*weights="),
        (NAME, r"have 21 classes, the data 4: give a file of weights .*\?weights=my.pth"),
    ],
)
def test_models_of_torchvision_that_do_not_fit_are_errors(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_foreign(source, 4)


class Returns(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, images: Tensor) -> object:
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


def test_the_check_leaves_the_model_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    check_foreign(model, torch.rand(3, 8, 8), 4, "mine")
    assert model.training
    assert int(model[1].num_batches_tracked) == 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(1, 5, 2, 2), r"mine returns logits of shape \(1, 5, 2, 2\).*has 4 classes"),
        (
            torch.zeros(2, 4, 2, 2),
            r"of shape \(2, 4, 2, 2\) for one image, expected \(1, 4, h, w\)",
        ),
        (torch.zeros(1, 4), r"mine: the model returned \(1, 4\), expected logits"),
        ({"aux": torch.zeros(1, 4, 2, 2)}, r"mine: .*mapping with \['aux'\], expected .*'out'"),
        (RuntimeError("size"), r"mine cannot segment .*\(1, 3, 8, 8\) \(RuntimeError: size\)"),
    ],
)
def test_wrong_outputs_are_errors(output: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_foreign(Returns(output), torch.rand(3, 8, 8), 4, "mine")
