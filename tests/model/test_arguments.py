"""Wrong arguments of models, with errors that name the remedy."""

from typing import Any

import pytest
import torch
from torch import nn

from protoxai import PrototypeTable, ScaleProtoSeg
from tests.toys import SMALL, Colours, Trunk, small_model


class Wrong(Colours):
    def __init__(self, **attributes: object) -> None:
        super().__init__()
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        (nn.Identity(), "scales module Identity has no whole number `num_scales`: set num_scales"),
        (Wrong(num_scales=2.5), "scales module Wrong has no whole number `num_scales`"),
        (Wrong(dim=None), "scales module Wrong has no whole number `dim`"),
        (Wrong(dim=2), "scales module has dim 2, expected 1"),
    ],
)
def test_own_scales_that_break_the_contract(scales: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScaleProtoSeg(nn.Identity(), 2, scales=scales, prototype_dim=1)


@pytest.mark.parametrize("attributes", [{"num_scales": 2}, {"num_scales": 4}])
def test_own_scales_that_give_another_number_of_maps(attributes: dict[str, int]) -> None:
    model = ScaleProtoSeg(nn.Identity(), 2, scales=Wrong(**attributes), prototype_dim=1)
    with pytest.raises(ValueError, match=r"embedding: got shape \(1, 3, 1, 5, 6\), expected"):
        model(torch.randn(1, 3, 5, 6))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"outputstride": 8}, TypeError, "no option 'outputstride' .did you mean 'output_stride'"),
        ({"class_names": ["a"]}, ValueError, "got 1 class_names, expected 3"),
        ({"class_names": "abc"}, ValueError, "class_names are 'abc', expected a list of names"),
        ({"class_names": ["a", "b", "a"]}, ValueError, "class_names has 'a' twice"),
        ({"class_names": ["a", "b", ""]}, ValueError, "class_names has '', expected printable"),
        ({"class_names": [1, 2, 3]}, ValueError, "class_names are .*, expected a list of names"),
        ({"input_scales": (0.5, 0)}, ValueError, r"are \(0.5, 0\), expected a list of"),
        ({"input_scales": (-0.5,)}, ValueError, r"input_scales are \(-0.5,\), expected a list of"),
        ({"input_scales": (1.0,)}, ValueError, r"input_scales are \(1.0,\).*the full"),
        ({"input_scales": 0.5}, ValueError, "input_scales are 0.5, expected a list of numbers"),
        ({"input_scales": ("half",)}, ValueError, r"input_scales are \('half',\)"),
        ({"input_scales": (float("nan"),)}, ValueError, r"input_scales are \(nan,\)"),
        (
            {"scales": "astrous"},
            ValueError,
            r"scales is 'astrous', expected one of .*did you mean 'atrous'",
        ),
        ({"num_classes": 0}, ValueError, "num_classes is 0, expected a whole number"),
        ({"num_classes": 2.5}, ValueError, "num_classes is 2.5, expected a whole number"),
        ({"prototype_dim": 0}, ValueError, "dim is 0, expected a whole number"),
        ({"prototypes_per_scale": 0}, ValueError, "per_scale is 0, expected a whole number"),
        ({"epsilon": 2.0}, ValueError, "epsilon is 2.0, expected a number above 0 and below 1"),
        ({"output_stride": 7}, ValueError, "output_stride is 7, expected a whole number from 8"),
        ({"output_stride": 12}, ValueError, "output_stride is 12, expected one of"),
        ({"output_stride": "8"}, TypeError, "output_stride is '8', expected a whole number"),
        ({"off_class": 1e308}, ValueError, "off_class is 1e.308, expected a number from -1000"),
        ({"off_class": None}, TypeError, "off_class is None, expected a number"),
        ({"init_gain": float("nan")}, ValueError, "init_gain is nan, expected a number above 0"),
        ({"freeze_batchnorm": 1}, TypeError, "freeze_batchnorm is 1, expected True or False"),
        ({"last_layer": "tide"}, ValueError, "last_layer is 'tide'.*did you mean 'tied'"),
        ({"feature_levels": 3}, ValueError, "feature_levels are 3, expected a list"),
        ({"table": 3}, TypeError, "table is 3, expected a PrototypeTable"),
        ({"atrous_rates": (0,)}, ValueError, r"rates are \(0,\), expected"),
        ({"atrous_rates": 6}, ValueError, "rates are 6, expected"),
        ({"backbone": "timm/resnet5O"}, ValueError, "resnet50"),
        ({"backbone": 50}, TypeError, "backbone is a int, expected"),
        ({"table": PrototypeTable.regular(2, 2, 1)}, ValueError, "table has 2 classes and 2"),
        (
            {"table": PrototypeTable.regular(3, 4, 1)},
            ValueError,
            "expected the model's 3 classes and 2 scales",
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"backbone": Trunk(), "num_classes": 3, "pretrained": False, **SMALL, **arguments}
    with pytest.raises(error, match=message):
        ScaleProtoSeg(**given)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(1, 3, 16, 20, dtype=torch.uint8), TypeError, "torch.uint8.*divide by 255"),
        (torch.zeros(3, 16, 20), ValueError, r"\(3, 16, 20\), expected \(B, 3, H, W\)"),
        (torch.zeros(1, 1, 16, 20), ValueError, r"\(1, 1, 16, 20\), expected \(B, 3, H, W\)"),
        (torch.zeros(1, 3, 16, 0), ValueError, "images are 16x0, expected at least one pixel"),
        (torch.zeros(1, 3, 16, 20).double(), TypeError, "float64, but the weights torch.float32"),
        ([torch.zeros(3, 16, 20)], TypeError, "images are a list, expected a torch.Tensor"),
    ],
)
@pytest.mark.parametrize("input_scales", [(), (0.5,)])
def test_wrong_images(
    images: Any, error: type[Exception], message: str, input_scales: tuple[float, ...]
) -> None:
    model = small_model(input_scales=input_scales)
    for call in (model, model.embed):
        with pytest.raises(error, match=message):
            call(images)
