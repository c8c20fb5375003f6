"""RISE: by hand, by a loop over masks, and by what it must give on average."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoxai.attribution import RISE, explainer_named
from protoxai.attribution.captum_methods import PERTURBED_AT_ONCE
from tests.attribution.toys import assert_one_by_one, linear_trunk_model, some_tasks
from tests.toys import modes


class RedAt(nn.Module):
    """The softmax of class 0 at every pixel is the red of one pixel, which is in (0, 1)."""

    def __init__(self, row: int, col: int) -> None:
        super().__init__()
        self.place = row, col
        self.largest = 0

    def forward(self, images: Tensor) -> Tensor:
        self.largest = max(self.largest, len(images))
        red = images[:, :1, *self.place, None, None].clamp(1e-9, 1 - 1e-9)
        logits = torch.cat([red.log(), (1 - red).log()], 1)
        return logits.expand(-1, -1, *images.shape[2:])


def red_task(size: tuple[int, int], red: float) -> tuple[Tensor, Tensor, Tensor]:
    region = torch.ones(1, *size, dtype=torch.bool)
    return torch.full((1, 3, *size), red), region, torch.tensor([0])


def test_a_single_cell_by_hand() -> None:
    """All or nothing: the map is the score times the share of shown masks, over one half."""
    explainer = RISE(RedAt(1, 2), masks=10, cells=1)
    shown = (torch.rand(10, generator=torch.Generator().manual_seed(0)) < 0.5).sum()
    assert 0 < int(shown) < 10
    result = explainer(*red_task((4, 6), 0.8))
    torch.testing.assert_close(result.map, torch.full((1, 4, 6), 0.8 * int(shown) / 10 / 0.5))
    assert result.units is None
    assert (result.cost.forward_passes, result.cost.backward_passes) == (10, 0)


def test_it_agrees_with_a_loop_over_masks() -> None:
    model, (images, region, classes) = linear_trunk_model(), some_tasks((16, 20), (0, 2))
    found = RISE(model, masks=20, cells=3, probability=0.4, seed=5)(images, region, classes).map
    generator = torch.Generator().manual_seed(5)
    grids = (torch.rand(20, 1, 3, 3, generator=generator) < 0.4).float()
    # Cells of 16 / 3 and 20 / 3 pixels, rounded up.
    rows = torch.randint(6, (20,), generator=generator).tolist()
    cols = torch.randint(7, (20,), generator=generator).tolist()
    for i in range(2):
        total = torch.zeros(16, 20)
        for grid, row, col in zip(grids, rows, cols, strict=True):
            large = F.interpolate(grid[None], (24, 28), mode="bilinear", align_corners=False)
            mask = large[0, 0, row : row + 16, col : col + 20]
            logits = model((images[i] * mask)[None]).logits.detach()
            on_image = F.interpolate(logits, (16, 20), mode="bilinear", align_corners=False)
            total += on_image.softmax(1)[0, classes[i]][region[i]].mean() * mask
        torch.testing.assert_close(found[i], total / 20 / 0.4, rtol=1e-4, atol=1e-6)


def test_a_pixel_that_counts_is_above_one_that_does_not() -> None:
    """Under a mask M the score is red M(q): the map is red E[M(q) M(u)] / p at pixel u."""
    found = RISE(RedAt(4, 4), masks=4000, cells=4)(*red_task((24, 24), 0.8)).map[0]
    # Far from the pixel the masks are independent of it: red p.
    assert float(found[14:, 14:].mean()) == pytest.approx(0.8 * 0.5, rel=0.02)
    near = found == found.max()
    row, col = near.nonzero()[0].tolist()
    assert abs(row - 4) <= 2
    assert abs(col - 4) <= 2
    # E[M²] is between p² of a mean over many cells and p of a single one.
    assert 0.8 * 0.5 * 1.2 < float(found[4, 4]) < 0.8


def test_masks_have_the_stated_mean_and_range() -> None:
    masks = torch.cat([*RISE(RedAt(0, 0), masks=2000, probability=0.3)._masks((20, 30), 64)])
    assert masks.shape == (2000, 20, 30)
    assert masks.min() >= 0
    assert masks.max() <= 1
    torch.testing.assert_close(masks.mean(0), torch.full((20, 30), 0.3), rtol=0, atol=0.05)


@pytest.mark.parametrize(("batch", "at_once"), [(1, PERTURBED_AT_ONCE), (3, 6), (9, 9)])
def test_memory_is_bounded(batch: int, at_once: int) -> None:
    model = RedAt(0, 0)
    images, region, classes = some_tasks((8, 8), (0,) * batch)
    RISE(model, masks=10, cells=2)(images.sigmoid(), region, classes)
    assert model.largest == at_once


def test_unequal_images_are_explained_one_by_one() -> None:
    explainer = RISE(linear_trunk_model(), masks=10)
    assert_one_by_one(explainer, some_tasks((16, 20), (0, 2, 1)), rtol=1e-3, atol=1e-5)


def test_the_seed_decides() -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20))
    state = torch.get_rng_state()
    first, again, other = (RISE(model, masks=10, seed=seed)(*batch).map for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_empty_region_is_undefined_and_leaves_the_others_alone() -> None:
    images, region, classes = some_tasks((16, 20))
    region[0] = False
    explainer = RISE(linear_trunk_model(), masks=10)
    found = explainer(images, region, classes).map
    assert found[0].isnan().all()
    alone = explainer(images[1:], region[1:], classes[1:]).map
    torch.testing.assert_close(found[1:], alone, rtol=1e-3, atol=1e-5)


def test_explaining_leaves_no_trace() -> None:
    model, batch = linear_trunk_model().train(), some_tasks((16, 20))
    before = modes(model), batch[0].clone()
    RISE(model, masks=4)(*batch)
    assert modes(model) == before[0]
    assert torch.equal(batch[0], before[1])


def test_it_is_an_explainer_by_name_of_any_model() -> None:
    entry = explainer_named("RISE")
    assert entry.applies_to(RedAt(0, 0))
    assert repr(entry.create(RedAt(0, 0))) == (
        "RISE(model=RedAt(...), masks=1000, cells=7, probability=0.5, seed=0)"
    )


@pytest.mark.parametrize(
    "options", [{"masks": 0}, {"cells": 0}, {"probability": 0}, {"probability": 1}, {"seed": -1}]
)
def test_wrong_arguments_are_refused(options: dict) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name} is {value}.*, expected"):
        RISE(RedAt(0, 0), **options)


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="holds 3, expected 0 to 2"):
        RISE(linear_trunk_model(), masks=2)(*some_tasks((16, 20), (0, 3)))


def test_device(device: torch.device) -> None:
    model, batch = linear_trunk_model(), some_tasks((16, 20))
    expected = RISE(model, masks=10)(*batch)
    result = RISE(model.to(device), masks=10)(*(part.to(device) for part in batch))
    torch.testing.assert_close(result.map.cpu(), expected.map, rtol=1e-2, atol=1e-3)
