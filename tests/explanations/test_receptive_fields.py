"""The effective receptive field of convolutions whose receptive field is known."""

import math

import pytest
import torch
from torch import Tensor, nn

from protoxai import PrototypeTable, ScaleProtoSeg, explain
from protoxai.explanations import receptive_field
from protoxai.metrics.explanation.imputation import impute
from tests.explanations.cases import block_model, blocks
from tests.toys import Colours, colour_model, small_model

STRIDE = 4


class Wide(nn.Module):
    """Two 3x3 convolutions, then every fourth pixel: a cell sees 5x5 pixels around its corner."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 3, stride=STRIDE, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


def model() -> ScaleProtoSeg:
    torch.manual_seed(0)
    return ScaleProtoSeg(Wide(), 2, scales=Colours(), prototype_dim=1)


def picture() -> Tensor:
    return torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["InputXGradient", "Saliency", "IntegratedGradients"])
@pytest.mark.parametrize("cell", [(0, 0), (3, 5), (5, 7)])
def test_the_map_is_zero_outside_of_the_receptive_field(method: str, cell: tuple[int, int]) -> None:
    found = receptive_field(model(), picture(), 2, cell=cell, method=method, samples=2)
    seen = torch.zeros(24, 32, dtype=torch.bool)
    row, col = (STRIDE * place for place in cell)
    seen[max(row - 2, 0) : row + 3, max(col - 2, 0) : col + 3] = True
    assert bool((found.map[~seen] == 0).all())
    assert bool((found.map[seen] > 0).all())
    assert float(found.map.sum()) == pytest.approx(1)
    assert found.cell == cell
    whole = receptive_field(model(), picture(), 2, cell=cell, region=(0, 0, 24, 32), samples=1)
    assert whole.inside == pytest.approx(1)
    assert whole.kept == pytest.approx(1)


def test_without_noise_the_map_is_gradient_times_input() -> None:
    segmenter, image = model().eval(), picture()
    found = receptive_field(segmenter, image, 1, cell=(2, 3), noise=0, samples=1)
    inputs = image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(segmenter(inputs).activations[0, 1, 2, 3], inputs)
    expected = (gradient * inputs).sum(1).abs()[0].detach()
    torch.testing.assert_close(found.map, expected / expected.sum())


def test_noise_is_seeded_and_averaged() -> None:
    segmenter, image = model(), picture()

    def field(**options: int) -> Tensor:
        return receptive_field(segmenter, image, 1, cell=(2, 3), **options).map

    assert torch.equal(field(samples=3, seed=4), field(samples=3, seed=4))
    assert not torch.equal(field(samples=3, seed=4), field(samples=3, seed=5))
    assert not torch.equal(field(samples=1), field(samples=3))


def test_the_share_that_is_kept_is_measured_in_the_imputed_image() -> None:
    segmenter, image = small_model(2).eval(), torch.randn(3, 16, 24)
    found = receptive_field(segmenter, image, 3, cell=(1, 2), region=(2, 4, 9, 13), samples=1)
    known = torch.zeros(1, 16, 24, dtype=torch.bool)
    known[:, 2:9, 4:13] = True
    with torch.no_grad():
        before = float(segmenter(image[None]).activations[0, 3, 1, 2])
        after = float(segmenter(impute(image[None], known)).activations[0, 3, 1, 2])
    assert found.activation == pytest.approx(before)
    assert found.kept == pytest.approx(after / before, rel=1e-5)
    assert found.inside == pytest.approx(float(found.map[known[0]].sum()))
    assert torch.equal(found.region, known[0])


def test_the_default_is_where_the_explanation_says_it_fires() -> None:
    segmenter, image = block_model(), blocks()[0].double()
    explanation = explain(segmenter, image)
    for prototype in range(len(segmenter.table)):
        found = receptive_field(segmenter, image, prototype, samples=1)
        cell, (top, left, bottom, right) = explanation.firing(prototype)
        assert found.cell == cell
        rows, cols = found.region.nonzero().T
        box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
        assert box == (top, left, bottom, right)
        assert int(found.region.sum()) == (bottom - top) * (right - left)


def test_the_words_give_the_shares() -> None:
    segmenter = small_model(2)
    found = receptive_field(segmenter, torch.randn(3, 16, 24), 3, region=(0, 0, 8, 8), samples=1)
    text = str(found)
    assert f"{found.kept:.0%} of the activation survives" in text
    assert "region shown is 16.7% of the image" in text
    assert f"{found.inside:.0%} of what the activation depends on" in text


def test_a_prototype_that_is_not_active_keeps_nothing() -> None:
    table = PrototypeTable([0], [0], num_classes=2, num_scales=3)
    dead = colour_model(table)
    # So far away that the activation, log(1 + (1 - epsilon) / (d + epsilon)), is 0.
    dead.prototype_layer.prototypes.data.fill_(1e10)
    found = receptive_field(dead, torch.zeros(3, 4, 4), 0, samples=1)
    assert found.activation == 0
    assert math.isnan(found.kept)
    assert not found.map.any()
    assert str(found) == "Prototype 0 is not active here."


def test_the_model_is_left_as_it_was() -> None:
    segmenter = small_model(2).group(2).train()
    with torch.inference_mode():
        receptive_field(segmenter, torch.randn(3, 16, 24), 0, samples=1)
    assert segmenter.training
    assert all(parameter.grad is None for parameter in segmenter.parameters())


def test_cells_are_on_the_grid() -> None:
    with pytest.raises(ValueError, match=r"cell is \(4, 0\).*grid of 4x6 cells"):
        receptive_field(small_model(2), torch.randn(3, 16, 24), 0, cell=(4, 0))
