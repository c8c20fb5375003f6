import pytest
import torch
from torch import Tensor

from protoxai.attribution import REFERENCE_MAPS, PrototypeAttribution, ReferenceMap, explainer_named
from protoxai.attribution.evidence import baseline_logit
from tests.attribution.toys import Colours
from tests.toys import small_model

MODEL = Colours([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
REGION = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1)) > 0.5
CLASSES = torch.tensor([0, 1, 1])


def images() -> Tensor:
    return torch.randn(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def maps(name: str, **options: int) -> Tensor:
    return ReferenceMap(name, MODEL, **options)(images(), REGION, CLASSES).map


def test_maps_by_hand() -> None:
    first, second, third = images().unbind(1)
    expected = torch.stack([(first - 2 * second + third / 2)[0], *(3 * second - third)[1:]])
    torch.testing.assert_close(maps("logit_map"), expected)
    assert torch.equal(maps("predicted_region"), REGION.float())


def test_edges_of_a_step() -> None:
    step = torch.zeros(1, 3, 6, 6)
    step[..., 3:] = 3.0
    step[:, 0, 1, 1] = 9.0
    found = ReferenceMap("edges", MODEL)(step, REGION[:1, :6, :6].fill_(True), CLASSES[:1]).map[0]
    # Below the spot the brightness steps from 0 to 3: weights 1, 2, 1 on either side.
    assert found[4].tolist() == [0, 0, 12, 12, 0, 0]
    # Left of the spot of brightness 3: 2 * 3 across, and as much to either side of it.
    assert float(found[1, 0]) == pytest.approx(6)
    assert float(found[0, 1]) == pytest.approx(6)


def test_evidence_of_prototypes_is_the_logit_map_but_for_a_constant() -> None:
    model = small_model(3).eval()
    task = images(), REGION, torch.tensor([2, 2, 2])
    logits = ReferenceMap("logit_map", model)(*task).map
    evidence = PrototypeAttribution(model, "prototypes")(*task).map
    baseline = baseline_logit(model.head)[2].expand_as(logits)
    torch.testing.assert_close(logits - evidence, baseline, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["smooth_noise", "pixel_noise"])
def test_noise_depends_on_image_class_and_seed_alone(name: str) -> None:
    found = maps(name)
    assert torch.equal(found, maps(name))
    assert not torch.equal(found, maps(name, seed=1))
    alone = ReferenceMap(name, MODEL)(images()[1:2], REGION[1:2], CLASSES[1:2]).map
    torch.testing.assert_close(alone[0], found[1])
    other = ReferenceMap(name, MODEL)(images()[1:2], REGION[1:2], CLASSES[:1]).map
    assert not torch.allclose(other[0], found[1])
    correlation = torch.corrcoef(found.flatten(1))
    assert float((correlation - torch.eye(3)).abs().max()) < (0.1 if name == "pixel_noise" else 0.7)


def test_noise_has_the_stated_smoothness() -> None:
    pixels, smooth = maps("pixel_noise"), maps("smooth_noise")
    assert float(pixels.std()) == pytest.approx(1, rel=0.05)

    def between_neighbours(values: Tensor) -> float:
        pair = torch.stack([values[..., 1:].flatten(), values[..., :-1].flatten()])
        return float(torch.corrcoef(pair)[0, 1])

    # Noise that is blurred with a standard deviation s is correlated by exp(-1 / 4 s²); s is 2.
    assert abs(between_neighbours(pixels)) < 0.1
    assert between_neighbours(smooth) == pytest.approx(0.939, abs=0.03)


def test_reference_maps_are_explainers_by_name() -> None:
    for name in REFERENCE_MAPS:
        found = explainer_named(name).create(MODEL)
        assert found.name == name
        region = REGION.clone()
        region[2] = False
        attribution = found(images(), region, CLASSES)
        assert attribution.map.isnan().flatten(1).all(1).tolist() == [False, False, True]
        assert attribution.units is None
        assert attribution.cost.forward_passes == (name == "logit_map") * 3
