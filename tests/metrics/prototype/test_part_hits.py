import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai.metrics import part_consistency, part_hits, part_stability
from protoxai.metrics.prototype.part_hits import centroids
from tests.cases import rearranged
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def test_centroids_of_components() -> None:
    mask = torch.tensor(
        [
            [1, 1, 0, 0, 1],
            [1, 1, 0, 0, 1],
            [0, 0, 1, 0, 1],
            [0, 0, 0, 0, 1],
        ]
    ).bool()
    # Pixels that touch at a corner are one component: its mean row and column are 4/5.
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
    assert hits[0, 0, 1] == 1  # the centroid, column 1, is belongs to the first coarse pixel
    assert hits[0, 0, 2] == 0


def test_a_hit_of_any_component_is_one() -> None:
    parts = torch.tensor([[[1, 0, 0, 0, 0, 1]]])
    labels = torch.ones(1, 1, 6).long()
    activations = torch.tensor([[[[0.0, 0, 0, 0, 5, 9]]]]).expand(1, 3, 1, 6)
    assert part_hits(activations, labels, parts, TABLE, PART_CLASS)[0, 0, 1] == 1


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
    with pytest.raises(ValueError, match="one map for each image of the activations"):
        part_hits(peaks(0, 0, 0), LABELS.expand(2, -1, -1), PARTS, TABLE, PART_CLASS)
