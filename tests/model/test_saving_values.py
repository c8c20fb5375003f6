"""What a model folder keeps to the last bit, and what it refuses key by key."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.prune import l1_unstructured

from protoxai import LinearSegmenter, PrototypeHead, ScaleProtoSeg, project_prototypes
from protoxai.folders import read_folder
from protoxai.model import load_model
from tests.toys import SMALL, Trunk, random_batch, small_model


def saved(folder: Path, **options: Any) -> ScaleProtoSeg:
    model = ScaleProtoSeg("timm/test_resnet", 3, pretrained=False, **{**SMALL, **options})
    project_prototypes(model, [(torch.rand(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64)))])
    model.group(2).eval().save_pretrained(folder)
    return model


def edit(folder: Path, change: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    change(config)
    path.write_text(json.dumps(config), encoding="utf-8")


def as_format_1(folder: Path) -> None:
    """Write the folder as 0.1.0 did: without digests."""

    def change(config: dict[str, Any]) -> None:
        del config["files"], config["digest"]
        config["format"] = 1

    edit(folder, change)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_number_formats_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    model = small_model().group(2).to(dtype).eval()
    nn.init.uniform_(model.head.weight)
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    for name, value in model.state_dict().items():
        assert twin.state_dict()[name].dtype == value.dtype, name
        assert torch.equal(twin.state_dict()[name], value), name


def test_mixed_number_formats_are_kept(tmp_path: Path) -> None:
    model = small_model().eval()
    model.backbone.bfloat16()
    model.head.double()
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    kept = {name: value.dtype for name, value in twin.state_dict().items()}
    assert kept == {name: value.dtype for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("prototype_dim", "x", "prototype_dim is 'x', expected a whole number from 1"),
        ("prototype_dim", None, "prototype_dim is None, expected a whole number"),
        ("num_classes", 10**12, "num_classes is 10+, expected a whole number from 1 to"),
        ("num_classes", 4, "num_classes is 4, but structure.table.num_classes 3"),
        ("epsilon", float("nan"), "epsilon is nan, expected a number above 0 and below 1"),
        ("freeze_batchnorm", "no", "freeze_batchnorm is 'no', expected True or False"),
        ("class_names", {"a": 1}, "class_names are .*, expected a list of names"),
        ("backbone", ["timm/test_resnet"], "backbone is .*, expected a name"),
        ("structure", None, "structure is None, expected the keys table, num_groups"),
        ("colour", "red", "there is no key 'colour'"),
        ("epsilom", 1e-4, "there is no key 'epsilom' .did you mean 'epsilon'"),
    ],
)
@pytest.mark.parametrize("number", [1, 2])
def test_every_key_is_checked(
    key: str, value: object, message: str, number: int, tmp_path: Path
) -> None:
    saved(tmp_path)
    if number == 1:
        as_format_1(tmp_path)
    edit(tmp_path, lambda config: config.update({key: value}))
    with pytest.raises(ValueError, match=rf"{tmp_path} is damaged .config.json: {message}"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("class_index", [0.5], "class_index are .*expected a list of whole numbers"),
        ("num_scales", 10**9, "num_scales is 10+, expected a whole number from 1 to 1000"),
        ("scale_index", [0], "class_index has .* entries and scale_index 1"),
    ],
)
def test_every_value_of_the_structure_is_checked(
    key: str, value: object, message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    edit(tmp_path, lambda config: config["structure"]["table"].update({key: value}))
    with pytest.raises(ValueError, match=rf"{tmp_path} is damaged .config.json: .*{message}"):
        load_model(tmp_path)


def test_no_key_has_a_default(tmp_path: Path) -> None:
    saved(tmp_path / "model")
    written = (tmp_path / "model" / "config.json").read_bytes()
    for key in json.loads(written):
        (tmp_path / "model" / "config.json").write_bytes(written)
        edit(tmp_path / "model", lambda config, key=key: config.pop(key))
        with pytest.raises(ValueError, match=r"config\.json"):
            load_model(tmp_path / "model")


def test_keys_that_0_1_0_did_not_know_have_its_defaults(tmp_path: Path) -> None:
    model = saved(tmp_path)
    as_format_1(tmp_path)
    edit(tmp_path, lambda config: config.pop("last_layer"))
    assert load_model(tmp_path).config == model.config


def test_provenance_of_another_number_of_prototypes(tmp_path: Path) -> None:
    saved(tmp_path)
    as_format_1(tmp_path)
    path = tmp_path / "provenance.json"
    entries = json.loads(path.read_text())
    for content, message in (
        (entries[:2], "found 2 entries, expected one per prototype"),
        ({"a": 1}, "found {'a': 1} entries"),
        ([{**entries[0], "row": -1}, *entries[1:]], "prototype 0: row is -1, expected"),
        ([*entries[:-1], {}], rf"prototype {len(entries) - 1}: it is {{}}, expected the keys"),
        ([{**entries[0], "grid": None}, *entries[1:]], "expected a value for grid too"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"{tmp_path} .*provenance.json: .*{message}"):
            load_model(tmp_path)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "integers"])
def test_tensors_that_do_not_fit(change: str, tmp_path: Path) -> None:
    saved(tmp_path)
    as_format_1(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    weight = tensors.pop("head.weight")
    tensors |= {
        "missing": {},
        "unknown": {"head.weight": weight, "head.bias": weight.clone()},
        "shape": {"head.weight": weight[:1].clone()},
        "integers": {"head.weight": weight.long()},
    }[change]
    save_file(tensors, path)
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(path))} do not fit its .*head"
    ) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert "save the model again" in str(caught.value)


def test_values_set_later_are_saved(tmp_path: Path) -> None:
    model = small_model().eval()
    model.class_names = np.array(["a", "b", "c"])
    model.input_scales = (0.5,)
    model.prototype_layer.epsilon = 0.25
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    assert twin.class_names == ("a", "b", "c")
    images = random_batch()[0]
    assert torch.equal(twin(images).logits, model(images).logits)


def test_values_that_could_not_be_loaded_are_not_saved(tmp_path: Path) -> None:
    model = small_model()
    model.prototype_layer.epsilon = 2.0
    with pytest.raises(ValueError, match=r"epsilon is 2\.0, expected"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_further_documents(tmp_path: Path) -> None:
    model = LinearSegmenter(Trunk(), 2, atrous_rates=(1, 2))
    model.save_pretrained(tmp_path, documents={"training.json": {"steps": 100}})
    assert read_folder(tmp_path)[0]["training.json"] == {"steps": 100}
    LinearSegmenter.from_pretrained(tmp_path, backbone=Trunk())
    with pytest.raises(ValueError, match=r"called config\.json, a file of the model's own"):
        model.save_pretrained(tmp_path, documents={"config.json": {}})


def test_state_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    class Counting(Trunk):
        def get_extra_state(self) -> Any:
            return {"steps": 3}

        def set_extra_state(self, state: Any) -> None:
            del state

    with pytest.raises(TypeError, match=r"backbone\.module\._extra_state is .*expected a tensor"):
        small_model_of(Counting()).save_pretrained(tmp_path)


def small_model_of(trunk: nn.Module) -> ScaleProtoSeg:
    return ScaleProtoSeg(trunk, 3, **SMALL)


@pytest.mark.parametrize("computed", ["pruned", "parametrised"])
def test_computed_weights_are_not_saved(computed: str, tmp_path: Path) -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
    if computed == "pruned":
        l1_unstructured(model.head, "weight", 0.5)
    else:
        nn.utils.parametrizations.weight_norm(model.head, "weight")
    with pytest.raises(TypeError, match="head computes its weights"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["last layer", "table"])
def test_parts_that_do_not_fit_are_not_saved(change: str, tmp_path: Path) -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
    if change == "last layer":
        model.head = PrototypeHead(model.table, last_layer="tied")
    else:
        model.head = PrototypeHead(model.table.keep([0, 1]))
    with pytest.raises(ValueError, match=r"head is .*expected"):
        model.save_pretrained(tmp_path)


@pytest.mark.parametrize("folder", [None, 3, ""])
def test_folders_that_are_no_path(folder: Any) -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
    with pytest.raises((TypeError, ValueError), match="expected the path of a folder"):
        model.save_pretrained(folder)
    with pytest.raises((TypeError, ValueError), match="expected the path of a folder"):
        ScaleProtoSeg.from_pretrained(folder)


def test_format_1_has_no_digests(tmp_path: Path) -> None:
    saved(tmp_path)
    edit(tmp_path, lambda config: config.update(format=1))
    with pytest.raises(ValueError, match="there is no key 'files'"):
        ScaleProtoSeg.from_pretrained(tmp_path)
