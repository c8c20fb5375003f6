import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from protoxai import AtrousScales, PyramidScales


def by_definition(image: Tensor, weight: Tensor, bias: Tensor, rate: int) -> Tensor:
    """A dilated 3x3 convolution as the sum of nine shifted 1x1 ones."""
    height, width = image.shape[2:]
    padded = F.pad(image, (rate, rate, rate, rate))
    total = bias.view(1, -1, 1, 1)
    for row in range(3):
        for col in range(3):
            shifted = padded[..., row * rate :, col * rate :][..., :height, :width]
            total = total + torch.einsum("bchw,dc->bdhw", shifted, weight[:, :, row, col])
    return total


def test_each_branch_is_a_dilated_convolution() -> None:
    scales = AtrousScales(in_channels=5, dim=4, rates=(1, 3, 6)).double()
    for parameter in scales.parameters():
        torch.nn.init.normal_(parameter)
    image = torch.randn(2, 5, 7, 8, dtype=torch.float64)
    maps = scales([torch.randn(2, 9, 14, 16), image])
    assert maps.shape == (2, 3, 4, 7, 8)
    for scale, rate in enumerate((1, 3, 6)):
        branch = scales.branches[scale]
        expected = by_definition(image, branch.weight, branch.bias, rate)
        torch.testing.assert_close(maps[:, scale], expected)


def test_summed_branches_are_one_scale() -> None:
    apart = AtrousScales(5, dim=4, rates=(1, 2))
    summed = AtrousScales(5, dim=4, rates=(1, 2), summed=True)
    summed.load_state_dict(apart.state_dict())
    image = [torch.randn(1, 5, 6, 7)]
    assert (apart.num_scales, summed.num_scales) == (2, 1)
    torch.testing.assert_close(summed(image), apart(image).sum(1, keepdim=True))


def test_released_rates_are_the_default() -> None:
    scales = AtrousScales(2)
    assert (scales.num_scales, scales.dim) == (4, 64)
    for branch, rate in zip(scales.branches, (6, 12, 18, 24), strict=True):
        assert branch.dilation == branch.padding == (rate, rate)
        assert branch.weight.shape == (64, 2, 3, 3)


def test_released_initialisation() -> None:
    scales = AtrousScales(64, dim=64, rates=(6,))
    weights = scales.branches[0].weight
    assert not scales.branches[0].bias.any()
    assert weights.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(weights.mean().item()) < 2e-4


def test_gain_scales_kaimings_rule() -> None:
    atrous = AtrousScales(64, dim=64, rates=(6,), init_gain=0.2).branches[0]
    assert atrous.weight.std().item() == pytest.approx(0.2 * (2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not atrous.bias.any()
    for gain, factor in ((None, 1.0), (0.2, 0.2)):
        pyramid = PyramidScales([256], dim=256, init_gain=gain).projections[0]
        assert pyramid.weight.std().item() == pytest.approx(factor * (2 / 256) ** 0.5, rel=0.02)
        assert not pyramid.bias.any()


def test_pyramid_levels_come_to_the_finest_grid() -> None:
    scales = PyramidScales((3, 5), dim=4)
    fine, coarse = torch.randn(2, 3, 9, 7), torch.randn(2, 5, 5, 4)
    maps = scales([fine, coarse])
    assert (scales.num_scales, scales.dim) == (2, 4)
    assert maps.shape == (2, 2, 4, 9, 7)
    first, second = scales.projections
    assert torch.equal(maps[:, 0], first(fine))
    resized = F.interpolate(second(coarse), size=(9, 7), mode="bilinear", align_corners=False)
    torch.testing.assert_close(maps[:, 1], resized)


@pytest.mark.parametrize("kind", ["atrous", "atrous-sum", "pyramid"])
def test_gradients_reach_every_weight(kind: str) -> None:
    scales = (
        PyramidScales((5, 5), dim=4)
        if kind == "pyramid"
        else AtrousScales(5, dim=4, rates=(1, 2), summed=kind == "atrous-sum")
    )
    scales([torch.randn(1, 5, 6, 7), torch.randn(1, 5, 3, 4)]).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in scales.parameters())


@pytest.mark.parametrize("rates", [(), (0,), (6, -1), (1.5,)])
def test_rates_that_are_none(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"rates is .*expected a (list of )?whole number"):
        AtrousScales(4, rates=rates)


def test_pyramid_without_levels() -> None:
    with pytest.raises(ValueError, match=r"in_channels is \(\), expected a list"):
        PyramidScales(())


@pytest.mark.parametrize("given", [1, 3])
def test_pyramid_with_another_number_of_maps(given: int) -> None:
    message = f"got {given} feature maps, expected 2: one per pyramid level"
    with pytest.raises(ValueError, match=message):
        PyramidScales((3, 3), dim=4)([torch.randn(1, 3, 4, 4)] * given)


@pytest.mark.parametrize(
    "scales",
    [
        AtrousScales(5, dim=4, rates=[1, 2], summed=True, init_gain=0.2),
        AtrousScales(in_channels=5),
        PyramidScales([5, 6], dim=4),
    ],
)
def test_a_representation_makes_the_same_scales(scales: AtrousScales | PyramidScales) -> None:
    again = eval(repr(scales))
    assert repr(again) == repr(scales)
    assert [p.shape for p in again.parameters()] == [p.shape for p in scales.parameters()]
    assert again.num_scales == scales.num_scales
