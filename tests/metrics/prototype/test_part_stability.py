import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from protoxai.metrics import PartStability, part_hits, part_stability
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def hits_of(*columns: int) -> Tensor:
    return part_hits(peaks(*columns), LABELS, PARTS, TABLE, PART_CLASS)


def test_stability_by_hand() -> None:
    hits, moved = hits_of(0, 4, 8), hits_of(0, 0, 8)
    # One other image has the same parts of prototypes 0 and 2, the other those of prototype 2.
    others = torch.stack([hits_of(0, 0, 8), hits_of(4, 0, 8)], 1)
    assert part_stability(hits, hits, others) == (1, 0.5)
    stability = part_stability(hits, moved, others)
    assert stability == pytest.approx((2 / 3, 1 / 2))
    assert float(stability) == pytest.approx(1 / 6)
    # A map that is the same in every image is as stable by chance.
    assert float(part_stability(hits, hits, hits[:, None])) == 0
    assert math.isnan(float(part_stability(hits * NAN, hits * NAN, others * NAN)))


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_stability_agrees_with_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hits, noisy = (torch.rand(2, 5, 3, 2, generator=generator) > 0.5).float()
    others = (torch.rand(5, 4, 3, 2, generator=generator) > 0.5).float()
    shown = torch.where(torch.rand(5, 1, 2, generator=generator) > 0.4, 1.0, NAN)
    hits, noisy, others = hits * shown, noisy * shown, others * shown[:, None]
    # Image 0 has no other image of its class.
    others[0] = NAN
    stable, pairs, same, chances = 0, 0, 0, 0
    for image in range(5):
        for prototype in range(3):
            parts = [k for k in range(2) if not math.isnan(hits[image, prototype, k])]
            if not parts:
                continue
            vector = hits[image, prototype, parts].tolist()
            pairs += 1
            stable += vector == noisy[image, prototype, parts].tolist()
            for column in range(4 if image else 0):
                chances += 1
                same += vector == others[image, column, prototype, parts].tolist()
    if chances:
        assert part_stability(hits, noisy, others) == pytest.approx(
            (stable / pairs, same / chances)
        )


def test_noise_changes_the_parts_of_an_unstable_prototype_only() -> None:
    images = torch.zeros(20, 3, 1, 10)
    both = (LABELS.expand(20, -1, -1), PARTS.expand(20, -1, -1))
    # Half of the images have other peaks, which their own maps alone follow.
    images[:10], images[10:] = 100 * peaks(0, 4, 8), 100 * peaks(4, 0, 6)
    stable, unstable = PartStability(TABLE, PART_CLASS), PartStability(TABLE, PART_CLASS)
    stable.update(lambda x: x, images, *both)
    unstable.update(lambda x: x, images * 0 + 1e-6 * torch.rand(20, 3, 1, 10), *both)
    figures = stable.compute()
    assert float(figures["stable_pairs"]) == 1
    # Of the other 19 images, nine have the same peaks.
    assert float(figures["stable_by_chance"]) == pytest.approx(9 / 19, abs=0.1)
    assert float(figures["part_stability"]) == pytest.approx(10 / 19, abs=0.1)
    figures = unstable.compute()
    assert float(figures["stable_pairs"]) < 0.8
    assert figures["part_stability"].low < 0 < figures["part_stability"].high
    assert stable.higher_is_better is True


def test_noise_depends_on_the_image_and_has_the_stated_size() -> None:
    batches: list[Tensor] = []

    def record(images: Tensor) -> Tensor:
        batches.append(images)
        return images[:, :3, :1, :10]

    images = torch.zeros(2, 3, 100, 100)
    labels, parts = (F.expand(2, 1, 10) for F in (LABELS, PARTS))
    metric = PartStability(TABLE, PART_CLASS)
    metric.update(record, images, labels, parts, index=[5, 8])
    assert batches[0].count_nonzero() == 0
    assert float(batches[1].std()) == pytest.approx(0.2, rel=0.02)
    metric.update(record, images[:1], labels[:1], parts[:1], index=8)
    assert torch.equal(batches[3][0], batches[1][1])
    clipped = PartStability(TABLE, PART_CLASS, clip=0.25)
    clipped.update(record, images, labels, parts, index=[5, 8])
    torch.testing.assert_close(batches[5], batches[1].clamp(-0.25, 0.25))
