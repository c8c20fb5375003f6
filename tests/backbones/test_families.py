import pytest
from torch import nn

from protoxai import ScaleProtoSeg
from protoxai.backbones import ModuleBackbone, create_backbone, families, register_backbone
from protoxai.backbones.families import BUILT_IN, family_named


@pytest.fixture(autouse=True)
def _without_own_families():
    yield
    # The built-in families stay: they register once, when their modules are imported.
    for family in set(families._REGISTERED) - set(BUILT_IN):
        del families._REGISTERED[family]


def create_stem(name, *, weights, output_stride, levels):
    stem = nn.Conv2d(3, {"small": 4, "large": 8}[name], 8, stride=output_stride)
    if isinstance(weights, dict):
        stem.load_state_dict(weights)
    return ModuleBackbone(stem, levels=levels)


@pytest.mark.parametrize("family", BUILT_IN)
def test_built_in_families_know_their_models(family):
    found = family_named(family)
    assert ("" if family == "unet" else "resnet50") in found.names()
    assert found.create.__module__ == BUILT_IN[family]


def test_own_family_by_name():
    register_backbone("stem", names=lambda: ["small", "large"])(create_stem)
    assert create_backbone("stem/large").channels == (8,)
    assert create_backbone("stem/small", output_stride=16).reductions == (16,)
    model = ScaleProtoSeg("stem/small", num_classes=2, prototype_dim=8)
    assert model.backbone.channels == (4,)
    with pytest.raises(ValueError, match=r"'steam/small' is unknown.*did you mean 'stem/small'"):
        create_backbone("steam/small")
    with pytest.raises(ValueError, match=r"'stem/<name>'"):
        create_backbone("stem")


def test_a_family_whose_names_include_the_empty_one_goes_by_its_own():
    def create_only(name, *, weights, output_stride, levels):
        assert name == ""
        return create_stem("small", weights=weights, output_stride=output_stride, levels=levels)

    register_backbone("sprout", names=lambda: [""])(create_only)
    assert create_backbone("sprout").channels == (4,)
    for unknown in ("sprout/", "spruot"):
        with pytest.raises(ValueError, match=r"is unknown, expected .*'unet', 'sprout'"):
            create_backbone(unknown)


def test_models_of_an_own_family_are_saved_and_loaded(tmp_path):
    register_backbone("stem")(create_stem)
    ScaleProtoSeg("stem/small", num_classes=2, prototype_dim=8).save_pretrained(tmp_path)
    assert ScaleProtoSeg.from_pretrained(tmp_path).backbone.channels == (4,)


@pytest.mark.parametrize("taken", ["timm", "deeplabv2", "stem"])
def test_a_name_is_given_once(taken):
    register_backbone("stem")(create_stem)
    with pytest.raises(ValueError, match=f"family of backbones '{taken}' already"):
        register_backbone(taken)(create_stem)


@pytest.mark.parametrize("name", ["", "my/family"])
def test_names_without_a_slash(name):
    with pytest.raises(ValueError, match="a name without a slash"):
        register_backbone(name)
