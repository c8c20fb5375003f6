import pytest
import torch

from protoxai.metrics import DeletionInsertion, deletion_insertion, perturbation_curves
from tests.metrics.explanation.test_perturbation_curves import bright, white_pixel


def test_areas_by_hand() -> None:
    # Curves: 1, 0, 0, …, 0.01 and 0.01, 1, 1, …
    areas = deletion_insertion(white_pixel, bright(), bright()[0])
    torch.testing.assert_close(areas.deletion, torch.tensor(1 / 40 + 0.01 / 40))
    torch.testing.assert_close(areas.insertion, torch.tensor(39 / 40 + 0.01 / 40))
    # With the opposite sign it is the last pixel that is removed.
    worst = deletion_insertion(white_pixel, bright(), -bright()[0])
    assert worst == (areas.insertion, areas.deletion)


@pytest.mark.parametrize("options", [{}, {"fill": "blur"}, {"patch": 4}, {"steps": 3}])
def test_options_reach_the_curves(options: dict) -> None:
    image, attribution = torch.rand(3, 9, 8), torch.rand(9, 8)
    keep = torch.rand(9, 8) < 0.2

    def score(images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 2:5, 3:].square().mean((1, 2))

    options = {"keep": keep, "seed": 4, **options}
    curves = perturbation_curves(score, image, attribution, **options)
    areas = deletion_insertion(score, image, attribution, **options)
    steps = curves.shape[1] - 1
    expected = (curves[:, 1:] + curves[:, :-1]).sum(1) / 2 / steps
    torch.testing.assert_close(torch.stack(areas), expected)


def test_undefined_scores_and_maps_are_undefined() -> None:
    empty_region = deletion_insertion(
        lambda x: x.new_full((len(x),), torch.nan), bright(), bright()[0]
    )
    no_map = deletion_insertion(white_pixel, bright(), torch.full((10, 10), torch.nan))
    for value in (*empty_region, *no_map):
        assert value.isnan()
    metric = DeletionInsertion()
    metric.update(white_pixel, bright(), torch.full((10, 10), torch.nan))
    assert metric.compute()["deletion"].undefined == 1


def test_the_metric_averages_over_images() -> None:
    metric = DeletionInsertion()
    metric.update(white_pixel, bright(), bright()[0], index=3)
    metric.update(white_pixel, bright(), -bright()[0], index=4)
    values = metric.compute()
    assert values["deletion"].mean == pytest.approx((40 + 0.02) / 80)
    assert values["insertion"].mean == pytest.approx((40 + 0.02) / 80)
    assert metric.figures == {"deletion": None, "insertion": None}
