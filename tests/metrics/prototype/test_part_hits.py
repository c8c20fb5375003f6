import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from protoxai import PrototypeTable
from protoxai.metrics import (
    PartConsistency,
    PartStability,
    part_consistency,
    part_hits,
    part_stability,
)
from protoxai.metrics.prototype.part_hits import centroids
from tests.cases import rearranged

# Two prototypes of class 1, one of class 2; parts 1 and 2 are of class 1, part 3 of class 2.
TABLE = PrototypeTable([1, 1, 2], [0, 0, 0], num_classes=3, num_scales=1)
PART_CLASS = (0, 1, 1, 2)
PARTS = torch.tensor([[[1, 1, 0, 2, 2, 2, 3, 3, 3, 3]]])
LABELS = torch.tensor([[[1, 1, 1, 1, 1, 1, 2, 2, 2, 2]]])
NAN = torch.nan


def peaks(*columns: int) -> Tensor:
    """Activations (1, P, 1, 10) that fall from a peak; far outside of the class they are huge."""
    places = torch.arange(10.0)
    return torch.stack([-(places - column).abs() for column in columns])[None, :, None]


def test_centroids_of_components() -> None:
    mask = torch.tensor(
        [
            [1, 1, 0, 0, 1],
            [1, 1, 0, 0, 1],
            [0, 0, 1, 0, 1],
            [0, 0, 0, 0, 1],
        ]
    ).bool()
    # Touching at a corner is one component: rows (0+0+1+1+2)/5, columns (0+1+0+1+2)/5 = 0.8.
    assert centroids(mask) == ([1, 2], [1, 4])
    assert centroids(torch.zeros(2, 2).bool()) == ([], [])


@given(st.integers(0, 2**31))
def test_centroids_agree_with_scikit_image(seed: int) -> None:
    from skimage.measure import label, regionprops

    mask = torch.rand(7, 9, generator=torch.Generator().manual_seed(seed)) > 0.6
    expected = [region.centroid for region in regionprops(label(mask.numpy(), connectivity=2))]
    rounded = [(int(row + 0.5), int(col + 0.5)) for row, col in expected]
    assert sorted(zip(*centroids(mask), strict=True)) == sorted(rounded)


def test_hits_by_hand() -> None:
    # Centroids: part 1 at 0.5 -> 1, part 2 at 4, part 3 at 7.5 -> 8. Of six pixels the cut keeps
    # those of at least the second largest value, of four pixels the largest one.
    hits = part_hits(peaks(0, 4, 8), LABELS, PARTS, TABLE, PART_CLASS)
    expected = torch.tensor([[[NAN, 1, 0, NAN], [NAN, 0, 1, NAN], [NAN, NAN, NAN, 1]]])
    torch.testing.assert_close(hits, expected, equal_nan=True)
    hits = part_hits(peaks(5, 2, 6), LABELS, PARTS, TABLE, PART_CLASS)
    expected = torch.tensor([[[NAN, 0, 1, NAN], [NAN, 1, 0, NAN], [NAN, NAN, NAN, 0]]])
    assert hits[0, 0, 2] == 1
    assert hits[0, 2, 3] == 0


def test_only_the_pixels_of_the_class_count() -> None:
    # The maximum lies on the other class; within its own, the prototype is highest at column 5.
    hits = part_hits(peaks(9, 9, 9), LABELS, PARTS, TABLE, PART_CLASS)
    assert hits[0, 0, 1] == 0
    assert hits[0, 0, 2] == 1
    # A part outside of its class is not shown.
    hits = part_hits(peaks(0, 0, 0), LABELS * 0 + 1, PARTS, TABLE, PART_CLASS)
    assert hits[0, 2].isnan().all()


def test_activations_are_upsampled_by_the_nearest() -> None:
    coarse = torch.tensor([[[[5.0, 1, 0, 0, 0]]]]).expand(1, 3, 1, 5)
    hits = part_hits(coarse, LABELS, PARTS, TABLE, PART_CLASS)
    assert hits[0, 0, 1] == 1  # the centroid, column 1, is of the first coarse pixel
    assert hits[0, 0, 2] == 0


def test_a_hit_of_any_component_is_one() -> None:
    parts = torch.tensor([[[1, 0, 0, 0, 0, 1]]])
    labels = torch.ones(1, 1, 6).long()
    activations = torch.tensor([[[[0.0, 0, 0, 0, 5, 9]]]]).expand(1, 3, 1, 6)
    assert part_hits(activations, labels, parts, TABLE, PART_CLASS)[0, 0, 1] == 1


def test_consistency_by_hand() -> None:
    # Five images: four hits in five are not more than 0.8, five are.
    hits = torch.zeros(5, 3, 4)
    hits[:4, 0, 1] = 1
    hits[:, 1, 2] = 1
    assert part_consistency(hits) == pytest.approx(1 / 3)
    # Where the part is shown in three images only, three hits are all.
    hits[3:, 0, 1] = NAN
    assert part_consistency(hits) == pytest.approx(2 / 3)
    # A prototype of which no part is ever shown does not count.
    hits[:, 2] = NAN
    assert part_consistency(hits) == 1
    assert part_consistency(hits * NAN).isnan()


def test_the_metric_counts_the_active_prototypes() -> None:
    batch = (torch.cat([peaks(0, 2, 8), peaks(0, 4, 8)]), LABELS.expand(2, -1, -1))
    everyone, active = (
        PartConsistency(TABLE, PART_CLASS),
        PartConsistency(TABLE, PART_CLASS, active=torch.tensor([0, 2])),
    )
    for metric in (everyone, active):
        metric.update(*batch, PARTS.expand(2, -1, -1))
    # Prototype 1 looks at another part in each image.
    assert float(everyone.compute()) == pytest.approx(2 / 3)
    assert float(active.compute()) == 1
    # Drawn alone, each image makes it consistent.
    assert everyone.compute().high == 1
    assert everyone.higher_is_better is True


def test_images_without_parts_are_undefined() -> None:
    metric = PartConsistency(TABLE, PART_CLASS)
    metric.update(
        torch.cat([peaks(0, 4, 8)] * 2), LABELS.expand(2, -1, -1), torch.cat([PARTS, PARTS * 0])
    )
    assert metric.compute()[3:] == (1, 1)


def test_stability_by_hand() -> None:
    hits = part_hits(peaks(0, 4, 8), LABELS, PARTS, TABLE, PART_CLASS)
    moved = part_hits(peaks(0, 0, 8), LABELS, PARTS, TABLE, PART_CLASS)
    assert part_stability(hits, hits) == 1
    assert part_stability(hits, moved) == pytest.approx(2 / 3)
    assert part_stability(hits * NAN, moved * NAN).isnan()


def test_noise_does_not_move_a_steady_prototype_and_moves_a_shaky_one() -> None:
    images, many = torch.zeros(20, 3, 1, 10), lambda t: t.expand(20, -1, -1)
    steady, shaky = PartStability(TABLE, PART_CLASS), PartStability(TABLE, PART_CLASS)
    steady.update(lambda x: peaks(0, 4, 8) * 100 + 0.01 * x, images, many(LABELS), many(PARTS))
    shaky.update(lambda x: x, images + 1e-6 * torch.rand(20, 3, 1, 10), many(LABELS), many(PARTS))
    assert float(steady.compute()) == 1
    assert float(shaky.compute()) < 0.8
    assert steady.higher_is_better is True


def test_noise_is_an_images_own_and_of_the_stated_size() -> None:
    seen: list[Tensor] = []

    def watch(images: Tensor) -> Tensor:
        seen.append(images)
        return images[:, :3, :1, :10]

    images = torch.zeros(2, 3, 100, 100)
    labels, parts = (F.expand(2, 1, 10) for F in (LABELS, PARTS))
    metric = PartStability(TABLE, PART_CLASS)
    metric.update(watch, images, labels, parts, index=[5, 8])
    assert seen[0].count_nonzero() == 0
    assert float(seen[1].std()) == pytest.approx(0.2, rel=0.02)
    metric.update(watch, images[:1], labels[:1], parts[:1], index=8)
    assert torch.equal(seen[3][0], seen[1][1])


@given(st.permutations(range(3)), st.floats(0.1, 10), st.integers(0, 2**31))
def test_neither_order_nor_factor_matters(order: list[int], factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    activations = torch.rand(2, 3, 1, 10, generator=generator, dtype=torch.float64)
    labels, parts = LABELS.expand(2, -1, -1), PARTS.expand(2, -1, -1)
    hits = part_hits(activations, labels, parts, TABLE, PART_CLASS)
    turned = part_hits(
        factor * activations[:, order], labels, parts, rearranged(TABLE, torch.tensor(order)),
        PART_CLASS,
    )  # fmt: skip
    torch.testing.assert_close(turned, hits[:, order], equal_nan=True)
    assert part_consistency(turned) == part_consistency(hits)
    assert part_stability(turned, turned.flip(0)) == part_stability(hits, hits.flip(0))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="parts hold numbers from 0 to 3, expected 0 to 1"):
        part_hits(peaks(0, 0, 0), LABELS, PARTS, TABLE, (0, 1))
    with pytest.raises(ValueError, match=r"parts have shape \(1, 1, 4\)"):
        part_hits(peaks(0, 0, 0), LABELS, PARTS[..., :4], TABLE, PART_CLASS)
    with pytest.raises(ValueError, match="batches differ"):
        part_hits(peaks(0, 0, 0), LABELS.expand(2, -1, -1), PARTS, TABLE, PART_CLASS)
