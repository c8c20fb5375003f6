import pickle
from typing import ClassVar

import pytest
import torch

from protoxai.metrics import (
    ActiveUnits,
    PerImageMetric,
    PointingGame,
    RelevanceMass,
    Sparseness,
    estimate,
)
from protoxai.metrics.base.wilson import wilson_interval

MAPS = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]]])
MASKS = torch.tensor([[[False, True]]]).expand(3, -1, -1)


def test_each_image_counts_once_whatever_the_order() -> None:
    metric, reverse = PointingGame(), PointingGame()
    metric.update(MAPS, MASKS, torch.tensor([4, 2, 9]))
    metric.update(MAPS[:1], MASKS[:1], [4])
    reverse.update(MAPS[2:], MASKS[2:], 9)
    reverse.update(MAPS[:2].flip(0), MASKS[:2], [2, 4])
    assert metric.compute() == reverse.compute()
    # The third map is constant: undefined.
    assert metric.compute().mean == 0.5
    assert (metric.compute().tasks, metric.compute().undefined) == (2, 1)
    indices, rows = metric.per_image()
    assert indices.tolist() == [2, 4, 9]
    torch.testing.assert_close(
        rows[:, 0], torch.tensor([0.0, 1.0, torch.nan]).double(), equal_nan=True
    )


def test_without_indices_images_are_counted_up() -> None:
    metric = PointingGame()
    metric.update(MAPS[:2], MASKS[:2])
    metric.update(MAPS[:2], MASKS[:2])
    assert metric.compute().tasks == 4


def test_forward_gives_the_batch_and_keeps_all() -> None:
    metric = PointingGame()
    assert metric(MAPS[:1], MASKS[:1]).mean == 1
    assert metric(MAPS[1:2], MASKS[1:2]).mean == 0
    assert metric.compute().mean == 0.5
    assert metric.compute().tasks == 2


def test_several_figures_come_by_name() -> None:
    metric = ActiveUnits()
    metric.update(torch.tensor([[1.0, 1.0], [-1.0, 0.0]]))
    assert list(metric.compute()) == list(metric.figures)
    assert metric.compute() == metric.estimates()
    assert metric.compute()["active_units"].mean == 2


def test_estimates_are_over_groups_of_images() -> None:
    metric = Sparseness()
    metric.update(torch.rand(12, 3, 4, generator=torch.Generator().manual_seed(0)))
    alone = metric.estimates()["sparseness"]
    assert (alone.tasks, alone.groups) == (12, 12)
    assert metric.compute() == alone
    grouped = metric.estimates(lambda index: f"video {index // 2}")["sparseness"]
    assert (grouped.mean, grouped.tasks, grouped.groups) == (alone.mean, 12, 6)
    means = metric.per_image()[1][:, 0].view(6, 2).mean(1)
    assert grouped[:3] == pytest.approx(estimate(means)[:3])
    with pytest.raises(TypeError, match="group_of"):
        metric.estimates([0, 1])


def test_a_share_has_wilsons_interval() -> None:
    metric = PointingGame()
    metric.update(MAPS[[0, 0, 0, 0, 1, 1]], MASKS[[0] * 6])
    assert metric.compute()[:3] == (pytest.approx(4 / 6), *wilson_interval(4 / 6, 6))


def test_reset_forgets() -> None:
    metric = PointingGame()
    metric.update(MAPS, MASKS)
    metric.reset()
    metric.update(MAPS[:1], MASKS[:1])
    assert metric.compute().tasks == 1


def test_a_metric_without_images_is_undefined() -> None:
    with pytest.warns(UserWarning, match="before"):
        value = PointingGame().compute()
    assert (value.tasks, value.undefined) == (0, 0)
    assert value.mean != value.mean


def test_copies_are_independent() -> None:
    metric = PointingGame()
    metric.update(MAPS, MASKS)
    copy = pickle.loads(pickle.dumps(metric))  # noqa: S301
    assert copy.compute() == metric.compute()
    other = metric.clone()
    other.update(MAPS[:1], MASKS[:1])
    assert metric.compute().tasks == 2


def test_indices_that_do_not_fit_are_named() -> None:
    metric = PointingGame()
    with pytest.raises(ValueError, match=r"index holds 2 numbers for 3 images"):
        metric.update(MAPS, MASKS, [0, 1])
    with pytest.raises(TypeError, match=r"index holds torch\.float32"):
        metric.update(MAPS, MASKS, torch.rand(3))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"mask has shape \(3, 1, 1\).*resize the attribution"):
        RelevanceMass().update(MAPS, MASKS[..., :1])
    with pytest.raises(ValueError, match=r"attribution: got shape \(1, 2\).*map\[None\]"):
        Sparseness().update(MAPS[0])


def test_on_each_device(device: torch.device) -> None:
    metric = PointingGame().to(device)
    metric.update(MAPS.to(device), MASKS.to(device))
    assert metric.compute().mean == 0.5


class Brightness(PerImageMetric):
    """A metric as users write it, with two figures and an argument."""

    figures: ClassVar = {"brightness": True, "darkness": False}

    def __init__(self, factor: float = 2.0, *, offset: float | None = None, **options) -> None:
        super().__init__(**options)
        self.factor = factor
        self.offset = offset

    def update(self, images: torch.Tensor, index=None) -> None:
        bright = self.factor * images.flatten(1).mean(1)
        self.add_values(torch.stack([bright, -bright], 1), index)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_values_of_another_shape_are_an_error_and_are_not_added(shape: tuple[int, ...]) -> None:
    metric = Brightness()
    with pytest.raises(ValueError, match=r"values of shape .*, expected \(B, 2\)"):
        metric.add_values(torch.ones(shape))
    assert len(metric.per_image()[0]) == 0
    with pytest.raises(TypeError, match=r"got values \[1.0, 2.0\], expected a tensor"):
        metric.add_values([1.0, 2.0])


def test_a_users_metric_adds_values_of_several_figures() -> None:
    metric = Brightness()
    metric.update(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), index=[7, 3])
    assert {name: value.mean for name, value in metric.compute().items()} == {
        "brightness": 0.5,
        "darkness": -0.5,
    }
    indices, values = metric.per_image()
    assert indices.tolist() == [3, 7]
    assert values.tolist() == [[0, 0], [1, -1]]


def test_repr_reproduces_the_call() -> None:
    expected = "Brightness(factor=3.0, offset=1.5, resamples=10, seed=4)"
    metric = Brightness(3.0, offset=1.5, resamples=10, seed=4)
    assert repr(metric) == expected
    assert repr(eval(repr(metric))) == expected
    assert repr(Brightness()) == "Brightness(factor=2.0, resamples=1000, seed=0)"


def test_a_metric_outside_of_comparisons_takes_no_explained_task() -> None:
    with pytest.raises(NotImplementedError, match="Brightness does not measure"):
        Brightness().update_from(None)
