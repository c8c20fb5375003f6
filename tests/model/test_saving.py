"""Models written to their folders and read again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from protoxai import (
    LinearSegmenter,
    PrototypeHead,
    PrototypeTable,
    ScaleProtoSeg,
    project_prototypes,
)
from tests.cases import UNEVEN
from tests.toys import (
    SMALL,
    Colours,
    Trunk,
    assert_same_output,
    random_batch,
    small_model,
    trainable,
)

# --- the folder


def pruned() -> ScaleProtoSeg:
    """Projected on few distinct patches, so that duplicates go and the table is uneven."""
    model = small_model()
    images, labels = random_batch()
    labels[labels == 1] = 0
    labels[0, 8:12, 8:12] = 1
    project_prototypes(model, [(images, labels)])
    counts = model.table.counts
    assert counts.min() < counts.max()
    return model


def grouped() -> ScaleProtoSeg:
    model = pruned().group(2)
    nn.init.normal_(model.head.weight)
    return model


def thresholded() -> ScaleProtoSeg:
    model = grouped()
    model.head.threshold_(0.3)
    assert model.head.group_weights().sum(1).min() < 0.9
    return model


def uneven() -> ScaleProtoSeg:
    return small_model(5, table=UNEVEN, atrous_rates=(1, 2, 3, 4))


def epsilon() -> ScaleProtoSeg:
    return small_model(epsilon=1e-2, bounded_prototypes=True, off_class=0.0).group()


@pytest.mark.parametrize("state", [small_model, pruned, grouped, thresholded, uneven, epsilon])
def test_folder_gives_the_same_model_to_the_last_bit(
    state: Callable[[], ScaleProtoSeg], tmp_path: Path
) -> None:
    model = state().eval()
    model(torch.randn(2, 3, 16, 20))
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    images = torch.randn(2, 3, 29, 37)
    assert_same_output(twin(images), model(images))
    assert twin.table == model.table
    assert twin.provenance == model.provenance
    assert twin.grouped == model.grouped
    assert trainable(twin) == trainable(model)
    assert twin.structure() == model.structure()
    assert twin.prototype_layer.extra_repr() == model.prototype_layer.extra_repr()
    # Once more, so that nothing is lost in what is loaded.
    twin.save_pretrained(tmp_path / "again")
    for path in tmp_path.glob("*.*"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_palette_is_kept(tmp_path: Path) -> None:
    model = small_model()
    assert model.palette is None
    assert len(set(model.colours)) == model.num_classes
    model.palette = [[10 * c, 0, 255] for c in range(model.num_classes)]
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    assert twin.colours == tuple((10 * c, 0, 255) for c in range(model.num_classes))
    model.palette = None
    model.save_pretrained(tmp_path)
    assert ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk()).palette is None


@pytest.mark.parametrize("palette", [[[0, 0, 0]], [[0, 0, 256]] * 3, "red"])
def test_a_wrong_palette_is_not_saved(palette: Any, tmp_path: Path) -> None:
    model = small_model()
    model.palette = palette
    with pytest.raises((TypeError, ValueError), match="palette"):
        model.save_pretrained(tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_model_that_moved_is_saved_alike(tmp_path: Path, device: torch.device) -> None:
    model = grouped().to(device).eval()
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())
    for name, tensor in twin.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].cpu())


def test_saving_over_a_projected_model_forgets_its_provenance(tmp_path: Path) -> None:
    pruned().save_pretrained(tmp_path)
    small_model().save_pretrained(tmp_path)
    assert ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk()).provenance is None


def test_table_is_stored_once_as_plain_numbers(tmp_path: Path) -> None:
    model = pruned()
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert text.count('"class_index"') == 1
    assert PrototypeTable(**json.loads(text)["structure"]["table"]) == model.table


def test_provenance_is_stored_as_plain_values(tmp_path: Path) -> None:
    model = pruned()
    model.save_pretrained(tmp_path)
    entries = json.loads((tmp_path / "provenance.json").read_text())
    assert [entry["row"] for entry in entries] == [entry.row for entry in model.provenance]


def test_structure_comes_before_the_weights() -> None:
    model = grouped().eval()
    twin = small_model()
    twin.backbone.load_state_dict(model.backbone.state_dict())
    twin.restructure(json.loads(json.dumps(model.structure())))
    twin.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 16, 20)
    assert_same_output(twin.eval()(images), model(images))
    assert trainable(twin) == trainable(model)
    twin.restructure(small_model().structure())
    assert isinstance(twin.head, PrototypeHead)
    assert twin.provenance is None


def test_structure_of_another_model_does_not_fit() -> None:
    with pytest.raises(
        ValueError, match="table has 5 classes and 4 scales, expected the model's 3 classes"
    ):
        small_model().restructure(uneven().structure())


def test_restructured_model_stays_on_its_device(device: torch.device) -> None:
    model = small_model().to(device)
    model.restructure(grouped().structure())
    assert {p.device.type for p in model.parameters()} == {device.type}


# --- what makes a model again, and what cannot


def test_every_option_survives_the_folder(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "input_scales": (0.5,),
        "output_stride": 16,
        "feature_levels": [2, 3],
        "init_gain": 0.2,
        "freeze_batchnorm": True,
        "class_names": ("road", "Straße", "sky"),
        **SMALL,
    }
    model = ScaleProtoSeg("timm/test_resnet", 3, pretrained=False, **options).eval()
    model.save_pretrained(tmp_path)
    twin = ScaleProtoSeg.from_pretrained(str(tmp_path))
    assert twin.config == model.config
    assert twin.class_names == ("road", "Straße", "sky")
    assert twin.input_scales == (0.5,)
    assert twin.freeze_batchnorm
    assert not twin.training
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(twin(images).logits, model(images).logits)


def test_loading_asks_for_no_pretrained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ScaleProtoSeg("timm/test_resnet", 2, pretrained=False, **SMALL).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert "pretrained" not in config
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", pytest.fail)
    ScaleProtoSeg.from_pretrained(tmp_path)


def test_only_json_and_safetensors_are_written(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors"} <= names
    assert {Path(name).suffix for name in names} == {".json", ".safetensors"}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architecture"] == "ScaleProtoSeg"
    assert config["num_classes"] == 3


def test_own_modules_are_asked_for(tmp_path: Path) -> None:
    ScaleProtoSeg(nn.Identity(), 2, scales=Colours(), prototype_dim=1).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"own backbone module: pass it as .*backbone=module"):
        ScaleProtoSeg.from_pretrained(tmp_path, scales=Colours())
    with pytest.raises(ValueError, match=r"own scales module: pass it as .*scales=module"):
        ScaleProtoSeg.from_pretrained(tmp_path, backbone=nn.Identity())
    loaded = ScaleProtoSeg.from_pretrained(tmp_path, backbone=nn.Identity(), scales=Colours())
    assert isinstance(loaded.scales, Colours)


def test_another_own_module_does_not_fit(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"weights in .* do not fit its config"):
        ScaleProtoSeg.from_pretrained(tmp_path, backbone=nn.Conv2d(3, 12, 3, stride=4))


def test_another_class_is_named(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    message = "holds a ScaleProtoSeg, not a LinearSegmenter: load it with ScaleProtoSeg"
    with pytest.raises(ValueError, match=message):
        LinearSegmenter.from_pretrained(tmp_path, backbone=Trunk())


def test_missing_folder() -> None:
    with pytest.raises(ValueError, match="there is no folder /nowhere/at/all"):
        ScaleProtoSeg.from_pretrained("/nowhere/at/all")


def edit(path: Path, **changes: object) -> None:
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "gone"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 999}, "has the format 999, but .* reads the formats .1, 2.: update protoxai"),
        ({"architecture": "gone"}, "not a ScaleProtoSeg"),
        ({"structure": "gone"}, "structure"),
        ({"num_classes": "gone"}, "num_classes"),
        ({"of_tomorrow": 1}, "of_tomorrow"),
        ({"num_classes": 4}, r"config.json: num_classes is 4, but structure.table.num_classes 3"),
        ({"atrous_rates": [1, 2, 3]}, "config.json: it has changed since it was saved"),
    ],
)
def test_config_that_is_damaged(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    edit(tmp_path / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())


def test_config_that_is_no_mapping(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="damaged"):
        ScaleProtoSeg.from_pretrained(tmp_path, backbone=Trunk())


def test_weights_of_another_shape(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path / "a")
    small_model(prototypes_per_scale=1).save_pretrained(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: it is not the file that config"):
        ScaleProtoSeg.from_pretrained(tmp_path / "a", backbone=Trunk())
