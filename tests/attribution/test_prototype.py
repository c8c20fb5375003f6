import pytest
import torch
import torch.nn.functional as F
from torch import nn

from protoxai import ScaleProtoSeg
from protoxai.attribution import PrototypeAttribution, SegmentationTarget, baseline_logit
from tests.attribution.toys import assert_one_by_one, some_tasks
from tests.cases import UNEVEN
from tests.toys import Trunk, modes, small_model

UNITS = pytest.mark.parametrize("units", ["groups", "prototypes"])
STAGES = pytest.mark.parametrize("stage", [1, 2])


def model_at(stage: int, **options) -> ScaleProtoSeg:
    model = small_model(**options).double()
    model = model.group() if stage == 2 else model
    model.double().head.weight.data.normal_()
    return model.eval()


def double_tasks(classes=(0, 2, 1)):
    images, region, index = some_tasks((16, 20), classes)
    return images.double(), region, index


@UNITS
@STAGES
def test_map_is_the_logit_without_its_baseline(stage: int, units: str) -> None:
    model = model_at(stage)
    images, region, classes = double_tasks()
    result = PrototypeAttribution(model, units)(images, region, classes)
    logits = F.interpolate(model(images).logits, (16, 20), mode="bilinear", align_corners=False)
    own = logits[range(3), classes] - baseline_logit(model.head)[classes][:, None, None]
    torch.testing.assert_close(result.map, own, rtol=1e-5, atol=1e-8)


@UNITS
@STAGES
def test_units_add_up_to_the_region(stage: int, units: str) -> None:
    model = model_at(stage)
    images, region, classes = double_tasks()
    result = PrototypeAttribution(model, units)(images, region, classes)
    assert result.units.shape[1] == (9 if (stage, units) == (2, "groups") else len(model.table))
    explained = SegmentationTarget(model)(images, region, classes)
    total = result.units.sum(1) + baseline_logit(model.head)[classes]
    torch.testing.assert_close(total, explained, rtol=1e-5, atol=1e-5)
    for row, inside in enumerate(region):
        torch.testing.assert_close(result.units[row].sum(), result.map[row][inside].mean())


@UNITS
@STAGES
def test_unequal_images_are_explained_one_by_one(stage: int, units: str) -> None:
    assert_one_by_one(
        PrototypeAttribution(model_at(stage), units), double_tasks(), rtol=1e-9, atol=1e-9
    )


def test_uneven_tables() -> None:
    model = ScaleProtoSeg(Trunk(), 5, table=UNEVEN, prototype_dim=4).group().eval()
    batch = some_tasks((16, 20), (1, 3, 0))
    groups, prototypes = (
        PrototypeAttribution(model, units)(*batch) for units in ("groups", "prototypes")
    )
    assert groups.units.shape == (3, 9)
    assert prototypes.units.shape == (3, len(UNEVEN))
    torch.testing.assert_close(groups.units.sum(1), prototypes.units.sum(1), rtol=1e-4, atol=1e-4)


def test_an_empty_region_is_undefined_and_leaves_the_others_alone() -> None:
    images, region, classes = double_tasks()
    region[1] = False
    method = PrototypeAttribution(model_at(2))
    result = method(images, region, classes)
    assert result.map[1].isnan().all()
    assert result.units[1].isnan().all()
    alone = method(images[2:], region[2:], classes[2:])
    torch.testing.assert_close(result.units[2:], alone.units)
    torch.testing.assert_close(result.map[2:], alone.map)


def test_one_forward_pass_in_evaluation_mode_and_no_trace() -> None:
    model = model_at(2).train()
    before = modes(model)
    result = PrototypeAttribution(model)(*double_tasks())
    assert (result.cost.forward_passes, result.cost.backward_passes) == (3, 0)
    assert result.cost.seconds > 0
    assert result.cost.peak_memory is None
    assert modes(model) == before
    assert not model._forward_hooks
    assert not result.map.requires_grad
    assert not result.units.requires_grad


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(off) -> None:
    method = PrototypeAttribution(model_at(2))
    with off():
        batch = double_tasks()
        result = method(*batch)
    assert result.map.isfinite().all()


def test_names_tell_the_units() -> None:
    assert PrototypeAttribution(model_at(1)).name == "groups"
    assert PrototypeAttribution(model_at(1), "prototypes").name == "prototypes"


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Conv2d.*, expected a ScaleProtoSeg.*CaptumAttribution"):
        PrototypeAttribution(nn.Conv2d(3, 2, 1))
    with pytest.raises(ValueError, match="units is 'pixels', expected one of"):
        PrototypeAttribution(model_at(1), "pixels")
    with pytest.raises(ValueError, match="holds 3, expected 0 to 2"):
        PrototypeAttribution(model_at(1))(*double_tasks((0, 3)))


def test_device(device: torch.device) -> None:
    model = model_at(2)
    expected = PrototypeAttribution(model)(*(batch := double_tasks()))
    result = PrototypeAttribution(model.to(device))(*(part.to(device) for part in batch))
    torch.testing.assert_close(result.units.cpu(), expected.units)
