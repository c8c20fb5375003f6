import pytest
import torch
from torch import Tensor

from protoxai.metrics import PartStability, part_hits, part_stability
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def test_stability_by_hand() -> None:
    hits = part_hits(peaks(0, 4, 8), LABELS, PARTS, TABLE, PART_CLASS)
    moved = part_hits(peaks(0, 0, 8), LABELS, PARTS, TABLE, PART_CLASS)
    assert part_stability(hits, hits) == 1
    assert part_stability(hits, moved) == pytest.approx(2 / 3)
    assert part_stability(hits * NAN, moved * NAN).isnan()


def test_noise_changes_the_parts_of_an_unstable_prototype_only() -> None:
    images, many = torch.zeros(20, 3, 1, 10), lambda t: t.expand(20, -1, -1)
    stable, unstable = PartStability(TABLE, PART_CLASS), PartStability(TABLE, PART_CLASS)
    stable.update(lambda x: peaks(0, 4, 8) * 100 + 0.01 * x, images, many(LABELS), many(PARTS))
    unstable.update(
        lambda x: x, images + 1e-6 * torch.rand(20, 3, 1, 10), many(LABELS), many(PARTS)
    )
    assert float(stable.compute()) == 1
    assert float(unstable.compute()) < 0.8
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
