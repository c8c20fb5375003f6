"""The evidence of a prototype model, traced to the pixels that it comes from."""

import pytest
import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, ScaleProtoSeg
from protoxai.attribution import (
    CaptumAttribution,
    PrototypeAttribution,
    baseline_logit,
    explainer_named,
)
from protoxai.attribution.captum_methods import METHODS
from protoxai.runtime.resize import resize
from tests.attribution.toys import FEW, assert_one_by_one, some_tasks
from tests.toys import colour_model, small_model

STAGES = pytest.mark.parametrize("stage", [1, 2])


class Evidence(nn.Module):
    """A region's mean evidence for a class, written out from the activations."""

    def __init__(self, model: ScaleProtoSeg) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, region: Tensor, class_index: Tensor) -> Tensor:
        head, activations = self.model.head, self.model(images).activations
        if self.model.grouped:
            weights = head.group_weights()
            sums = torch.einsum("np,bphw->bnhw", weights, activations)
            activations = sums.exp() - 1
        each = torch.einsum("bn,bnhw->bhw", head.class_weights()[class_index], activations)
        on_image = resize(each[:, None], images.shape[2:])[:, 0]
        return (on_image * region).sum((1, 2)) / region.sum((1, 2))


def model_at(stage: int) -> ScaleProtoSeg:
    model = small_model()
    model = model.group() if stage == 2 else model
    model.head.weight.data.normal_()
    return model.double().eval()


def double_tasks() -> tuple[Tensor, Tensor, Tensor]:
    images, region, classes = some_tasks((16, 20), (0, 2, 1))
    return images.double(), region, classes


@STAGES
def test_integrated_gradients_sum_to_what_the_image_adds_to_the_evidence(stage: int) -> None:
    model, batch = model_at(stage), double_tasks()
    result = PrototypeAttribution(model, to="pixels", n_steps=400)(*batch)
    evidence = Evidence(model)
    added = evidence(*batch) - evidence(0 * batch[0], *batch[1:])
    torch.testing.assert_close(result.map.sum((1, 2)), added, rtol=0.02, atol=0.02)
    # The units are those of the image alone: they and the baseline add up to the logit.
    torch.testing.assert_close(result.units.sum(1), evidence(*batch), rtol=1e-5, atol=1e-5)


def test_gradient_by_hand() -> None:
    """One prototype for each colour, compared with the sigmoid of that colour of the pixel."""
    places = torch.tensor([0.2, 0.9, 0.5])
    table = PrototypeTable(torch.tensor([0, 1, 0]), torch.arange(3), num_classes=2, num_scales=3)
    model = colour_model(table).eval()
    model.prototype_layer.prototypes.data.copy_(places[:, None])
    weight = torch.tensor([[2.0, -0.5, 1.5], [0.25, 3.0, -1.0]])
    model.head.weight.data.copy_(weight)
    images, region, classes = some_tasks((4, 6), (0, 1))
    share = region / region.sum((1, 2), keepdim=True)
    value = images.sigmoid()
    off = value - places[:, None, None]
    distance, epsilon = off**2, model.prototype_layer.epsilon
    steepness = 1 / (distance + 1) - 1 / (distance + epsilon)
    gradient = weight[classes][:, :, None, None] * steepness * 2 * off * value * (1 - value)
    expected = (gradient * images * share[:, None]).sum(1)
    explainer = PrototypeAttribution(model, to="pixels", method="InputXGradient")
    found = explainer(images, region, classes)
    torch.testing.assert_close(found.map, expected, rtol=1e-3, atol=1e-4)
    activation = ((distance + 1) / (distance + epsilon)).log()
    units = weight[classes] * (activation * share[:, None]).sum((2, 3))
    torch.testing.assert_close(found.units, units, rtol=1e-3, atol=1e-4)


@STAGES
@pytest.mark.parametrize("name", METHODS)
def test_every_method_explains_the_evidence_as_it_explains_the_logit(name: str, stage: int) -> None:
    model, batch = model_at(stage), double_tasks()
    found = PrototypeAttribution(model, to="pixels", method=name, **FEW.get(name, {}))(*batch)
    logit = CaptumAttribution(name, model, **FEW.get(name, {}))
    torch.testing.assert_close(found.map, logit(*batch).map, rtol=1e-9, atol=1e-9)
    # The same method on the evidence, without the baseline of the class.
    logit.target = Evidence(model)
    torch.testing.assert_close(found.map, logit(*batch).map, rtol=1e-5, atol=1e-5)


@STAGES
@pytest.mark.parametrize("units", ["groups", "prototypes"])
def test_units_are_those_of_the_cells(stage: int, units: str) -> None:
    model, batch = model_at(stage), double_tasks()
    cells = PrototypeAttribution(model, units)(*batch)
    pixels = PrototypeAttribution(model, units, to="pixels", method="Saliency")(*batch)
    assert torch.equal(cells.units, pixels.units)
    assert not torch.allclose(cells.map, pixels.map)
    assert (pixels.cost.forward_passes, pixels.cost.backward_passes) == (6, 3)


def test_baselines_differ_so_that_equal_maps_are_no_accident() -> None:
    assert baseline_logit(model_at(2).head).abs().min() > 0.01


def test_unequal_images_are_explained_one_by_one() -> None:
    explainer = PrototypeAttribution(model_at(2), to="pixels", n_steps=4)
    assert_one_by_one(explainer, double_tasks(), rtol=1e-9, atol=1e-9)


def test_it_is_an_explainer_by_name() -> None:
    entry = explainer_named("evidence_to_pixels")
    assert entry.applies_to(model_at(1))
    assert not entry.applies_to(nn.Conv2d(3, 2, 1))
    explainer = entry.create(model_at(1))
    assert explainer.name == "groups to pixels"
    assert repr(explainer) == (
        "PrototypeAttribution(model=ScaleProtoSeg(...), units='groups', to='pixels', "
        "method='IntegratedGradients')"
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"to": "image"}, ValueError, "to is 'image', expected one of 'cells', 'pixels'"),
        ({"method": "Saliency"}, ValueError, 'method is given, .* give to="pixels"'),
        ({"n_steps": 4}, ValueError, 'n_steps is given, .* give to="pixels"'),
        ({"to": "pixels", "method": "Salience"}, ValueError, "did you mean 'Saliency'"),
        ({"to": "pixels", "steps": 4}, TypeError, "IntegratedGradients has no option 'steps'"),
    ],
)
def test_wrong_arguments_are_refused(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        PrototypeAttribution(small_model(), **options)
