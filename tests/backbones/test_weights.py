import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from protoxai.backbones import create_backbone
from protoxai.backbones.weights import load_weights, read_weights


@pytest.fixture
def state():
    return {"weight": torch.randn(2, 3), "bias": torch.randn(2)}


def save_bare(state, path):
    torch.save(state, path)


def save_nested(state, path):
    torch.save({"state_dict": state, "epoch": 3}, path)


@pytest.mark.parametrize(
    ("name", "save"),
    [("w.pt", save_bare), ("w.pth", save_nested), ("w.safetensors", save_file)],
)
def test_every_format_gives_the_same_tensors(tmp_path, state, name, save):
    save(state, tmp_path / name)
    for read in (read_weights(tmp_path / name), read_weights(str(tmp_path / name))):
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"is no file, expected True \(hub\), False"):
        read_weights(tmp_path / "none.pt")


@pytest.mark.parametrize("name", ["text.pt", "text.safetensors"])
def test_a_file_of_something_else(tmp_path, name):
    (tmp_path / name).write_text("not weights")
    with pytest.raises(ValueError, match="save"):
        read_weights(tmp_path / name)


def test_a_pickled_module_is_not_run(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(ValueError, match="save the state dict alone"):
        read_weights(tmp_path / "module.pt")


def test_a_list_is_no_state_dict(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="contains a list"):
        read_weights(tmp_path / "list.pt")


def test_further_tensors_are_left_out(state):
    linear = nn.Linear(3, 2)
    load_weights(linear, state | {"head.weight": torch.zeros(9)}, "mine")
    assert torch.equal(linear.weight, state["weight"])


def test_missing_or_misshapen_tensors_are_named(state):
    with pytest.raises(ValueError, match=r"'mine' lack 1 of its 2 tensors.*'weight'"):
        load_weights(nn.Linear(4, 2), state, "mine")


@pytest.mark.parametrize(
    "spec", ["timm/test_resnet", "timm/mobilenetv3_small_050", "torchvision/resnet18"]
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_backbone_takes_the_weights_of_its_classifier(tmp_path, spec, suffix):
    library, name = spec.split("/")
    if library == "timm":
        import timm

        classifier = timm.create_model(name)
    else:
        from torchvision import models

        classifier = models.get_model(name)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(classifier.state_dict(), path)
    backbone = create_backbone(spec, pretrained=path, output_stride=32)
    given = classifier.state_dict()
    for key, tensor in backbone.features.state_dict().items():
        assert torch.equal(tensor, given[key.removeprefix("model.")])
    assert all(
        "state_dict" not in getattr(part, "pretrained_cfg", {}) for part in backbone.modules()
    )


@pytest.mark.parametrize("spec", ["timm/test_resnet", "torchvision/resnet18", "deeplabv2/resnet50"])
def test_weights_of_another_model_are_refused(tmp_path, state, spec):
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=f"{spec}.*give weights saved from"):
        create_backbone(spec, pretrained=tmp_path / "other.pt")


def test_misshapen_weights_are_refused_by_timm(tmp_path):
    import timm

    state = timm.create_model("test_resnet").state_dict()
    state["conv1.0.weight"] = torch.zeros(7, 3, 3, 3)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="do not fit 'timm/test_resnet'"):
        create_backbone("timm/test_resnet", pretrained=tmp_path / "other.pt")
