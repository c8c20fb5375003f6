"""The contract of explainers: one public method, and everything around it."""

import pytest
import torch
from torch import Tensor, nn

from protoxai.attribution import AttributionMethod, CaptumAttribution, PrototypeAttribution
from tests.attribution.toys import WEIGHT, Colours, some_tasks
from tests.toys import modes, small_model

CAPTUM_CALL = (
    "CaptumAttribution(name='LayerGradCam', model=ScaleProtoSeg(...), layer='scales', seed=3, "
    "segments=32)"
)


class Brightness(AttributionMethod):
    """The images' own brightness, times a factor, with the factor as the only unit."""

    def __init__(self, model: nn.Module, factor: float = 2.0) -> None:
        super().__init__("brightness", model)
        self.factor = factor

    def attribute(
        self, images: Tensor, region: Tensor, class_index: Tensor
    ) -> tuple[Tensor, Tensor]:
        assert not self.model.training
        assert class_index.device.type == "cpu"
        images *= self.factor
        self.model(images)
        return images.sum(1), torch.full((len(images), 1), self.factor)


def test_an_own_explainer_implements_one_method() -> None:
    model = Colours(WEIGHT).train()
    images, region, classes = some_tasks()
    before = modes(model)
    result = Brightness(model)(images, region, classes)
    torch.testing.assert_close(result.map, 2 * images.sum(1))
    assert torch.equal(result.units, torch.tensor([[2.0], [2.0]]))
    assert (result.cost.forward_passes, result.cost.backward_passes) == (2, 0)
    assert modes(model) == before


def test_an_empty_region_is_undefined_for_every_explainer() -> None:
    images, region, classes = some_tasks()
    region[1] = False
    result = Brightness(Colours(WEIGHT))(images, region, classes)
    assert result.map[1].isnan().all()
    assert result.units[1].isnan().all()
    assert result.map[0].isfinite().all()


def test_arguments_are_checked_before() -> None:
    images, region, classes = some_tasks()
    with pytest.raises(ValueError, match="region: got shape"):
        Brightness(Colours(WEIGHT))(images, region[:1], classes)


def test_without_the_method_there_is_no_explainer() -> None:
    class Incomplete(AttributionMethod):
        pass

    with pytest.raises(TypeError, match="attribute"):
        Incomplete("incomplete", Colours(WEIGHT))


@pytest.mark.parametrize(
    ("explainer", "expected"),
    [
        (Brightness(Colours(WEIGHT)), "Brightness(model=Colours(...), factor=2.0)"),
        (
            PrototypeAttribution(small_model(), "prototypes"),
            "PrototypeAttribution(model=ScaleProtoSeg(...), units='prototypes', to='cells')",
        ),
        (
            CaptumAttribution("LayerGradCam", small_model(), layer="scales", seed=3),
            CAPTUM_CALL,
        ),
    ],
)
def test_representation_is_the_call(explainer: AttributionMethod, expected: str) -> None:
    assert repr(explainer) == expected
    # Comparisons rename explainers after their models.
    explainer.name = "another"
    assert repr(explainer) == expected
