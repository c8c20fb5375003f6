import pytest
import torch

from protoxai.metrics import PartConsistency, part_consistency
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def test_consistency_by_hand() -> None:
    # Five images: four hits in five are not more than 0.8, five are.
    hits = torch.zeros(5, 3, 4)
    hits[:4, 0, 1] = 1
    hits[:, 1, 2] = 1
    assert part_consistency(hits) == pytest.approx(1 / 3)
    # If only three images show the part, three hits are all.
    hits[3:, 0, 1] = NAN
    assert part_consistency(hits) == pytest.approx(2 / 3)
    # A prototype without a visible part does not count.
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
    # Prototype 1 is active on another part in each image.
    assert float(everyone.compute()) == pytest.approx(2 / 3)
    assert float(active.compute()) == 1
    assert everyone.higher_is_better is True


def test_the_interval_is_over_images_or_groups_of_them() -> None:
    metric = PartConsistency(TABLE, PART_CLASS)
    activations = torch.cat([peaks(0, 2, 8), *[peaks(0, 4, 8)] * 9])
    metric.update(activations, LABELS.expand(10, -1, -1), PARTS.expand(10, -1, -1))
    images = metric.compute()
    # In resamples with two of the first image, prototype 1 is not consistent.
    assert (images.low, images.mean, images.high) == (pytest.approx(2 / 3), 1, 1)
    groups = metric.estimates(lambda index: index % 5)["part_consistency"]
    assert (groups.tasks, groups.groups) == (10, 5)
    assert not metric.estimates(lambda index: index % 3)["part_consistency"].has_interval


def test_images_without_parts_are_undefined() -> None:
    metric = PartConsistency(TABLE, PART_CLASS)
    metric.update(
        torch.cat([peaks(0, 4, 8)] * 2), LABELS.expand(2, -1, -1), torch.cat([PARTS, PARTS * 0])
    )
    assert (metric.compute().tasks, metric.compute().undefined) == (1, 1)
