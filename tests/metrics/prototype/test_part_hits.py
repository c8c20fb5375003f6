import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from protoxai import PrototypeTable
from protoxai.metrics import chance_hits, part_consistency, part_hits, part_stability
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
    # two, of four pixels one.
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
    others = chance_hits(activations, labels, parts, TABLE, PART_CLASS)
    turned_others = others[:, :, order]
    one, other = (
        part_consistency(*both, min_images=1) for both in ((hits, others), (turned, turned_others))
    )
    assert float(one) == float(other)
    assert torch.equal(one.part[order], other.part)
    assert part_stability(turned, turned.flip(0), turned_others) == part_stability(
        hits, hits.flip(0), others
    )


def test_exactly_a_fifth_of_the_pixels_is_active_whatever_the_ties() -> None:
    # Every pixel is a part of its own, so that hits are the active pixels.
    numbers = torch.arange(1, 14)[None, None]
    table = PrototypeTable([0], [0], num_classes=1, num_scales=1)
    classes = (0,) * 14
    several = torch.zeros(50, 1, 1, 13)
    hits = part_hits(
        several, numbers.expand(50, 1, 13) * 0, numbers.expand(50, 1, 13), table, classes
    )
    assert hits.nansum((1, 2)).tolist() == [3] * 50
    # The order among equal activations is random, and that of a seed.
    assert float(hits[:, 0, 1:].sum(0).min()) >= 4
    assert float(hits[:, 0, 1:].sum(0).max()) <= 22
    again = part_hits(several[:1], numbers * 0, numbers, table, classes, seeds=[49])
    torch.testing.assert_close(again[0], hits[49], equal_nan=True)
    # A higher activation is active whatever the seed.
    several[..., 6] = 1
    assert (
        part_hits(
            several, numbers.expand(50, 1, 13) * 0, numbers.expand(50, 1, 13), table, classes
        )[:, 0, 7]
        .eq(1)
        .all()
    )


@given(st.integers(0, 2**31))
def test_hits_agree_with_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(4, (1, 3, 2, 3), generator=generator).float()
    labels = torch.randint(3, (1, 4, 6), generator=generator)
    parts = torch.randint(4, (1, 4, 6), generator=generator)
    hits = part_hits(maps, labels, parts, TABLE, PART_CLASS, seeds=[seed])
    order = torch.randperm(24, generator=torch.Generator().manual_seed(seed)).tolist()
    expected = torch.full((1, 3, 4), NAN)
    for prototype, own in enumerate(TABLE.class_index.tolist()):
        pixels = [(r, c) for r in range(4) for c in range(6) if labels[0, r, c] == own]
        ranked = sorted(
            pixels,
            key=lambda at: (
                -float(maps[0, prototype, at[0] // 2, at[1] // 2]),
                order[6 * at[0] + at[1]],
            ),
        )
        active = set(ranked[: -(-len(pixels) // 5)])
        for part in (1, 2, 3):
            mask = (parts[0] == part) & (labels[0] == own)
            if PART_CLASS[part] == own and bool(mask.any()):
                places = set(zip(*centroids(mask), strict=True))
                expected[0, prototype, part] = float(bool(places & active))
    torch.testing.assert_close(hits, expected, equal_nan=True)


def test_a_value_that_is_not_a_number_is_never_active() -> None:
    maps = peaks(0, 4, 8) * NAN
    assert part_hits(maps, LABELS, PARTS, TABLE, PART_CLASS).nansum() == 0


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="parts hold numbers from 0 to 3, expected 0 to 1"):
        part_hits(peaks(0, 0, 0), LABELS, PARTS, TABLE, (0, 1))
    with pytest.raises(ValueError, match=r"parts have shape \(1, 1, 4\)"):
        part_hits(peaks(0, 0, 0), LABELS, PARTS[..., :4], TABLE, PART_CLASS)
    with pytest.raises(ValueError, match="one map for each image of the activations"):
        part_hits(peaks(0, 0, 0), LABELS.expand(2, -1, -1), PARTS, TABLE, PART_CLASS)
