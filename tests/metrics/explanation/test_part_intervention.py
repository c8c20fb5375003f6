"""Maps against the effect of removing parts, by hand, by loops and on scenes of Shapes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from protoxai.data import Shapes
from protoxai.metrics import PartIntervention, part_drops, part_intervention

ROW = torch.ones(3, 1, 5)
REGION = torch.tensor([[True, True, True, True, False]])


def row_sum(images: Tensor) -> Tensor:
    """Logits that depend on the whole row: the sum of the first channel, times the column."""
    return images[:, 0].sum(-1, keepdim=True) * torch.arange(1.0, 6)


def without(*columns: int) -> Tensor:
    image = ROW.clone()
    image[..., list(columns)] = 0
    return image


def test_drops_by_hand() -> None:
    removed = [without(0), without(1, 2), without(4)]
    found = part_drops(row_sum, ROW, removed, REGION)
    assert found.parts[:, 0].int().tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]]
    # The row's sum falls by one or two; the columns left in the region are 2 3 4, 1 4, 1 2 3 4.
    assert found.drops.tolist() == pytest.approx([1 * 3, 2 * 2.5, 1 * 2.5])
    assert found.drops.dtype == torch.float64
    # The sums over the parts are 1, 5 and 4, their ranks 1 3 2, those of the drops 2 3 1.
    attribution = torch.tensor([[1.0, 3, 2, 9, 4]])
    by_sums = part_intervention(attribution, *found, per_pixel=False)
    assert float(by_sums) == pytest.approx(1 - 6 * (1 + 0 + 1) / (3 * 8))
    # Divided by the areas 1, 2, 1: the sums 1, 2.5, 4, the drops 3, 2.5, 2.5 with ranks 3 1.5 1.5.
    by_pixels = -1.5 / 3**0.5
    assert float(part_intervention(attribution, *found)) == pytest.approx(by_pixels)
    assert float(part_intervention(-attribution[None], *found)) == pytest.approx(-by_pixels)


def test_a_constant_map_is_undefined_per_pixel_and_knows_the_areas_by_sums() -> None:
    parts = torch.zeros(3, 1, 6, dtype=torch.bool)
    parts[0, 0, 0] = parts[1, 0, 1:3] = parts[2, 0, 3:] = True
    drops = torch.tensor([1.0, 2.0, 4.0])
    for value in (7.0, 0.1, -0.3):
        constant = torch.full((1, 6), value)
        assert part_intervention(constant, parts, drops).isnan()
        sums = part_intervention(constant, parts, drops, per_pixel=False)
        assert float(sums) == pytest.approx(math.copysign(1, value))


def test_hidden_parts_and_those_that_cover_the_region_are_left_out() -> None:
    removed = [ROW.clone(), without(0, 1, 2, 3), without(2)]
    found = part_drops(row_sum, ROW, removed, REGION)
    assert found.parts[:, 0].int().tolist() == [[0, 0, 1, 0, 0]]
    assert found.drops.tolist() == pytest.approx([(1 + 2 + 4) / 3])
    nowhere = part_drops(row_sum, ROW, [without(2)], torch.zeros_like(REGION))
    assert nowhere.parts.shape == (0, 1, 5)
    assert nowhere.drops.shape == (0,)


def test_each_image_is_drawn_when_it_is_scored() -> None:
    events: list[str] = []

    def drawn():
        for column in range(3):
            events.append("drawn")
            yield without(column)

    def logits(images: Tensor) -> Tensor:
        events.append(f"scored {len(images)}")
        return row_sum(images)

    part_drops(logits, ROW[None], drawn(), REGION)
    assert events == ["scored 1", *["drawn", "scored 1"] * 3]


@given(st.integers(0, 2**31))
def test_agrees_with_loops_and_scipy(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(3, 4, 5, generator=generator)
    weights = torch.randn(3, 4, 5, generator=generator)
    region = torch.rand(4, 5, generator=generator) > 0.3
    region[0, 0] = region[3, 4] = True
    masks = torch.rand(4, 4, 5, generator=generator) > 0.7
    masks[:, 0, 0], masks[:, 1, 1] = False, True
    # A change in one channel is enough.
    colour = torch.eye(3)[seed % 3][:, None, None]
    removed = [image + colour * mask for mask in masks]

    def logits(images: Tensor) -> Tensor:
        whole = (images * weights).sum((1, 2, 3))
        return whole[:, None, None] * images[:, 0] + images[:, 1]

    attribution = torch.randn(4, 5, generator=generator)
    parts, drops = part_drops(logits, image, removed, region)
    assert torch.equal(parts, masks)
    before = logits(image[None])[0]
    sums, expected, areas = [], [], []
    for mask, changed in zip(masks, removed, strict=True):
        after = logits(changed[None])[0]
        fall, pixels, total = 0.0, 0, 0.0
        for y in range(4):
            for x in range(5):
                if mask[y, x]:
                    total += float(attribution[y, x])
                elif region[y, x]:
                    fall += float(before[y, x]) - float(after[y, x])
                    pixels += 1
        areas.append(int(mask.sum()))
        sums.append(total)
        expected.append(fall / pixels)
    assert drops.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    value = float(part_intervention(attribution, parts, drops))
    by_sums = part_intervention(attribution, parts, drops, per_pixel=False)
    assert float(by_sums) == pytest.approx(stats.spearmanr(sums, expected).statistic)
    means = [total / area for total, area in zip(sums, areas, strict=True)]
    effects = [fall / area for fall, area in zip(expected, areas, strict=True)]
    assert value == pytest.approx(stats.spearmanr(means, effects).statistic)
    order = torch.randperm(4, generator=generator)
    assert float(part_intervention(attribution, parts[order], drops[order])) == pytest.approx(value)


def test_undefined_with_fewer_than_three_parts_and_without_differences() -> None:
    parts = torch.eye(5, dtype=torch.bool)[:, None]
    attribution = torch.arange(5.0)[None]
    drops = torch.tensor([3.0, 1, 2, 5, 4])
    assert math.isfinite(part_intervention(attribution, parts[:3], drops[:3]))
    for undefined in (
        part_intervention(attribution, parts[:2], drops[:2]),
        part_intervention(attribution, parts[:0], drops[:0]),
        part_intervention(torch.ones(1, 5), parts, drops),
        part_intervention(attribution, parts, torch.ones(5)),
        part_intervention(attribution, parts, drops.where(drops != 5, torch.nan)),
    ):
        assert undefined.isnan()
        assert undefined.dtype == torch.float64
    # What is outside of all parts does not matter.
    outside = torch.tensor([[0.0, 1.0, 2.0, torch.nan, torch.inf]])
    assert part_intervention(outside, parts[:3], drops[:3]) == -0.5


def test_the_metric_averages_over_images() -> None:
    metric = PartIntervention()
    parts, drops = torch.eye(5, dtype=torch.bool)[:3, None], torch.tensor([1.0, 2, 3])
    for index, attribution in enumerate(([1.0, 2, 3, 0, 0], [3.0, 2, 1, 0, 0], [0.0] * 5)):
        metric.update(torch.tensor([attribution]), parts, drops, index=index)
    for value in metric.compute().values():
        assert (value.mean, value.tasks, value.undefined) == (0, 2, 1)
    assert metric.figures == {"part_intervention": True, "part_sums": None}


@pytest.fixture(scope="module")
def ladder() -> dict[str, float]:
    """Maps of known quality, for a model that weighs colours and asks every pixel."""
    shapes = Shapes(size=64, length=25, split="val", clutter=(0, 0))
    # The colours differ in weight and in sign, so that size does not decide.
    weights = torch.tensor([3.0, -1.0, -2.0])[:, None, None]
    metrics = {
        name: PartIntervention()
        for name in ("truth", "real", "inverted", "noise", "pixels", "constant")
    }
    generator = torch.Generator().manual_seed(0)
    for index in range(len(shapes)):
        sample = shapes[index]
        image, labels = sample["image"], sample["labels"]
        classes = labels[labels > 0].unique().tolist()
        for own in classes:
            region = labels == own

            def logits(images: Tensor) -> Tensor:
                each = (images * weights).sum((1, 2, 3))
                return each[:, None, None].expand(-1, 64, 64)

            redrawn = [other["image"] for other in shapes.without_parts(index, own)]
            parts, drops = part_drops(logits, image, redrawn, region)
            changes = torch.stack([((image - other) * weights).sum(0) for other in redrawn])
            smooth = torch.randn(1, 1, 8, 8, generator=generator)
            gradient = (image * weights).sum(0)
            maps = {
                # Where several parts cover a pixel, the one in front counts.
                "truth": changes.gather(0, changes.abs().argmax(0)[None])[0],
                "real": gradient,
                "inverted": -gradient,
                "noise": torch.nn.functional.interpolate(smooth, (64, 64), mode="bilinear")[0, 0],
                "pixels": torch.randn(64, 64, generator=generator),
                "constant": torch.ones(64, 64),
            }
            for name, attribution in maps.items():
                metrics[name].update(attribution, parts, drops, index=10 * index + own)
    return {name: float(metric.compute()["part_intervention"]) for name, metric in metrics.items()}


def test_the_ladder_stands(ladder: dict[str, float]) -> None:
    assert math.isnan(ladder["constant"])
    assert ladder["truth"] >= ladder["real"] > 0.5
    for null in ("noise", "pixels"):
        assert abs(ladder[null]) < ladder["real"] / 2, null
    assert ladder["inverted"] < -0.5


def test_what_does_not_fit_is_named() -> None:
    parts, drops = torch.eye(5, dtype=torch.bool)[:, None], torch.ones(5)
    with pytest.raises(ValueError, match=r"attribution has shape \(2, 1, 5\)"):
        part_intervention(torch.ones(2, 1, 5), parts, drops)
    with pytest.raises(ValueError, match=r"parts: got shape \(5, 1, 5\), expected .*width=4"):
        part_intervention(torch.ones(1, 4), parts, drops)
    with pytest.raises(ValueError, match=r"drops: got shape \(4,\), expected \(parts=5\)"):
        part_intervention(torch.ones(1, 5), parts, drops[:4])
    with pytest.raises(ValueError, match=r"without: got shape \(3, 1, 4\)"):
        part_drops(row_sum, ROW, [ROW[..., :4]], REGION)
    with pytest.raises(ValueError, match="region: got shape"):
        part_drops(row_sum, ROW, [], REGION[:, :4])
    with pytest.raises(TypeError, match="without is None"):
        part_drops(row_sum, ROW, None, REGION)
    with pytest.raises(ValueError, match="the result of logits"):
        part_drops(lambda images: images.sum((1, 2, 3)), ROW, [], REGION)
