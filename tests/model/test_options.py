"""Options of the models: written once, shown everywhere."""

import inspect
import json
import pydoc
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from protoxai import LinearSegmenter, ScaleProtoSeg
from protoxai.model import load_model
from protoxai.model.options import NOT_SAVED, ScaleProtoSegOptions, TrunkOptions, options_of

MODELS = pytest.mark.parametrize(
    ("model", "kind", "scales"),
    [
        (ScaleProtoSeg, ScaleProtoSegOptions, "atrous"),
        (LinearSegmenter, TrunkOptions, "atrous-sum"),
    ],
)
# The part of the call that is promised to users.
PROMISED = {
    "scales": "atrous",
    "prototypes_per_scale": 3,
    "prototype_dim": 64,
    "input_scales": (),
    "output_stride": 8,
    "freeze_batchnorm": False,
    "pretrained": True,
}


@MODELS
def test_signature_shows_every_option(model: type, kind: type, scales: str) -> None:
    parameters = inspect.signature(model).parameters
    assert list(parameters) == ["backbone", "num_classes", "scales", *options_of(kind)]
    assert parameters["backbone"].default is inspect.Parameter.empty
    assert parameters["scales"].default == scales
    for name, option in options_of(kind).items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == option.default
        assert parameters[name].annotation == option.type


def test_promised_call() -> None:
    parameters = inspect.signature(ScaleProtoSeg).parameters
    assert {name: parameters[name].default for name in PROMISED} == PROMISED


@MODELS
def test_help_describes_every_option_once(model: type, kind: type, scales: str) -> None:
    shown = pydoc.plain(pydoc.render_doc(model))
    described = inspect.getdoc(model) or ""
    assert "**options" not in shown
    for name, option in options_of(kind).items():
        assert f"{name}: " in shown
        assert described.count(f"\n    {name}: ") == 1
        assert option.doc in " ".join(described.split())
    # What follows the options is kept.
    assert "\nRaises:\n    ValueError" in described
    assert "\nExample:\n    >>>" in described


def test_a_subclass_keeps_its_own_signature() -> None:
    class Own(ScaleProtoSeg):
        def __init__(self, width: int) -> None:
            super().__init__(nn.Conv2d(3, width, 1), 2, prototype_dim=4)

    assert list(inspect.signature(Own).parameters) == ["width"]
    assert len(Own(5).table) == 24


@MODELS
def test_config_holds_what_a_folder_needs(model: type, kind: type, scales: str) -> None:
    config = model(nn.Conv2d(3, 4, 1), 2).config
    own = {"architecture", "backbone", "num_classes", "scales"}
    assert set(config) == own | set(options_of(kind)) - set(NOT_SAVED)


@pytest.mark.parametrize("option", ["bakbone_stride", "prototype_dims", "off_clas"])
def test_unknown_options_come_with_close_ones(option: str) -> None:
    with pytest.raises(TypeError, match=f"there is no option '{option}'.*expected some of"):
        ScaleProtoSeg(nn.Conv2d(3, 4, 1), 2, **{option: 1})


def test_close_option_is_named() -> None:
    with pytest.raises(TypeError, match=r"'output_strid' \(did you mean 'output_stride'\?\)"):
        LinearSegmenter(nn.Conv2d(3, 4, 1), 2, output_strid=4)


GIVEN = {
    "prototype_dim": np.int64(4),
    "epsilon": torch.tensor(0.5),
    "bounded_prototypes": np.bool_(True),
    "input_scales": [np.float32(0.5)],
    "atrous_rates": torch.tensor([1, 2]),
    "class_names": np.array(["road", "sky"]),
}


def test_values_become_plain_ones() -> None:
    """JSON holds them, and a loaded model has the same ones."""
    config = ScaleProtoSeg(nn.Conv2d(3, 4, 1), np.int32(2), **GIVEN).config
    assert json.loads(json.dumps(config)) == config
    expected = [4, 0.5, True, [0.5], [1, 2], ["road", "sky"]]
    assert [config[name] for name in GIVEN] == expected
    assert [type(config[name]) for name in GIVEN] == [type(value) for value in expected]
    assert config["num_classes"] == 2
    assert type(config["num_classes"]) is int


def test_numbers_have_ranges() -> None:
    numbers = (int, float, Sequence[int], Sequence[float], float | None)
    for name, option in options_of(ScaleProtoSegOptions).items():
        if option.type in numbers:
            assert option.range is not None, name


def test_options_load_no_heavy_library() -> None:
    code = (
        "import sys; import protoxai.model.options;"
        "heavy = {'torchvision', 'timm', 'lightning', 'scipy', 'skimage', 'captum', 'matplotlib'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# --- folders of earlier versions

# As it was written before options were declared in one place.
EARLIER: dict[str, Any] = {
    "format": 1,
    "architecture": "ScaleProtoSeg",
    "backbone": None,
    "num_classes": 2,
    "scales": "atrous",
    "prototypes_per_scale": 1,
    "prototype_dim": 2,
    "epsilon": 0.0001,
    "bounded_prototypes": False,
    "off_class": -0.5,
    "input_scales": [],
    "output_stride": 8,
    "feature_levels": None,
    "atrous_rates": [1, 2],
    "init_gain": None,
    "freeze_batchnorm": False,
    "feature_channels": None,
    "class_names": ["a", "b"],
    "structure": {
        "table": {
            "class_index": [0, 1, 0, 1],
            "scale_index": [0, 0, 1, 1],
            "num_classes": 2,
            "num_scales": 2,
        },
        "num_groups": 2,
    },
}


def write_folder(folder: Path, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")


def test_folder_of_an_earlier_version_loads(tmp_path: Path) -> None:
    weights = {
        "backbone.module.weight": torch.rand(4, 3, 3, 3),
        "backbone.module.bias": torch.rand(4),
        "prototype_layer.prototypes": torch.rand(4, 2),
        "head.weight": torch.tensor([[1.0, 2, -1, 0], [0, -1, 1, 3]]),
        "head.group_parameter": torch.tensor([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.3, 0.7]]]),
        **{
            f"scales.branches.{i}.{name}": torch.rand(shape)
            for i in range(2)
            for name, shape in (("weight", (2, 4, 3, 3)), ("bias", (2,)))
        },
    }
    write_folder(tmp_path, EARLIER, weights)
    model = ScaleProtoSeg.from_pretrained(tmp_path, backbone=nn.Conv2d(3, 4, 3, stride=4))
    assert model.class_names == ("a", "b")
    assert model.head.num_groups == 2
    for name, value in weights.items():
        assert torch.equal(model.state_dict()[name], value)
    assert model.predict(torch.randn(1, 3, 16, 16)).shape == (1, 16, 16)


def test_linear_folder_of_an_earlier_version_loads(tmp_path: Path) -> None:
    prototypes = ("prototypes_per_scale", "prototype_dim", "epsilon", "bounded_prototypes")
    config = {
        name: value
        for name, value in EARLIER.items()
        if name not in (*prototypes, "off_class", "structure")
    }
    config |= {
        "architecture": "LinearSegmenter",
        "scales": "atrous-sum",
        "backbone": "timm/test_resnet",
    }
    model = LinearSegmenter("timm/test_resnet", 2, atrous_rates=(1, 2), pretrained=False).eval()
    write_folder(tmp_path, config, {k: v.contiguous() for k, v in model.state_dict().items()})
    twin = load_model(tmp_path)
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(twin(images).logits, model(images).logits)
