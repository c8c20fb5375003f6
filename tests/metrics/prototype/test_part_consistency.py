import math

import pytest
import torch
from torch import Tensor

from protoxai.metrics import PartConsistency, part_consistency
from protoxai.metrics.base.wilson import wilson_interval
from tests.metrics.prototype.part_toys import LABELS, PART_CLASS, PARTS, TABLE, peaks

NAN = torch.nan


def never(hits: Tensor) -> Tensor:
    """Hits by ten other images, none of them."""
    return hits[:, None].expand(-1, 10, -1, -1) * 0


def test_consistency_by_hand() -> None:
    # Ten images: eight hits in ten are not more than 0.8, nine are.
    hits = torch.zeros(10, 3, 4)
    hits[:8, 0, 1] = 1
    hits[1:, 1, 2] = 1
    result = part_consistency(hits, never(hits))
    assert result.share == pytest.approx(1 / 3)
    assert result.chance == 0
    assert result.part.tolist() == [1, 2, 0]
    torch.testing.assert_close(result.rate, torch.tensor([0.8, 0.9, 0.0]).double())
    assert float(result.low[1]) == pytest.approx(wilson_interval(0.9, 10)[0])
    assert float(result.low[1]) == pytest.approx(0.5958, abs=1e-4)
    assert result.p.tolist() == [1e-3, 1e-3, 1]
    assert len(result.unseen) == 0


def test_a_part_has_to_be_shown_by_enough_images() -> None:
    hits = torch.zeros(10, 3, 4)
    hits[:, 0, 1] = 1
    hits[0, 0, 1] = NAN
    assert part_consistency(hits, never(hits)).share == 0
    assert part_consistency(hits, never(hits), min_images=9).share == pytest.approx(1 / 3)
    # A prototype without a part that enough images show is not seen, and does not count.
    hits[0, 0] = NAN
    hits[:, 2] = NAN
    result = part_consistency(hits, never(hits))
    assert result.share == 0
    assert result.unseen.tolist() == [0, 2]
    assert result.part.tolist() == [-1, 0, -1]
    assert result.p.isnan().tolist() == [True, False, True]
    assert str(result) == "0 (0, and 0 by chance); 2 prototypes are not seen: 0, 2"
    nothing = part_consistency(hits * NAN, never(hits * NAN))
    assert math.isnan(float(nothing))


def test_chance_is_subtracted() -> None:
    # Prototype 0 hits its part everywhere, and so do half of the columns of other images.
    hits = torch.ones(10, 2, 1)
    hits[:, 1] = 0
    others = never(hits).clone()
    others[:, ::2, 0] = 1
    result = part_consistency(hits, others)
    assert (result.share, result.chance, float(result)) == (0.5, 0.25, 0.25)
    # A map that hits wherever it comes from is consistent by chance alone.
    result = part_consistency(hits, hits[:, None].expand(-1, 10, -1, -1))
    assert float(result) == 0
    assert result.p.tolist() == [1, 1]


def test_p_is_the_share_of_assignments_that_reach_the_rate() -> None:
    # All ten images are hit; a random other map hits each with probability 1 / 2.
    hits = torch.ones(4, 1, 1)
    others = torch.ones(4, 10, 1, 1)
    others[:, 5:] = 0
    p = float(part_consistency(hits, others, min_images=1).p)
    assert p == pytest.approx(1 / 16, abs=3 * (15 / 16 / 16 / 999) ** 0.5)
    assert p == float(part_consistency(hits, others, min_images=1).p)
    assert p != float(part_consistency(hits, others, min_images=1, seed=1).p)
    # Without another image there is neither p nor chance.
    alone = part_consistency(hits, others * NAN, min_images=1)
    assert alone.p.isnan().all()
    assert math.isnan(alone.chance)


def loop(hits: Tensor, least: int) -> float:
    """The share of consistent prototypes among those that are seen."""
    consistent, seen = 0, 0
    for prototype in range(hits.shape[1]):
        rates = []
        for part in range(hits.shape[2]):
            values = [v for v in hits[:, prototype, part].tolist() if not math.isnan(v)]
            if len(values) >= least:
                rates.append(sum(values) / len(values))
        seen += bool(rates)
        consistent += any(rate > 0.8 for rate in rates)
    return consistent / seen


def test_consistency_agrees_with_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    shown = torch.where(torch.rand(30, 6, 5, generator=generator) > 0.5, 1.0, NAN)
    chances = torch.rand(6, 5, generator=generator)
    hits = (torch.rand(30, 6, 5, generator=generator) < chances).float() * shown
    others = (torch.rand(30, 4, 6, 5, generator=generator) < chances).float() * shown[:, None]
    result = part_consistency(hits, others, min_images=12)
    assert 0 < result.share < 1
    assert result.share == pytest.approx(loop(hits, 12))
    chance = sum(loop(others[:, column], 12) for column in range(4)) / 4
    assert result.chance == pytest.approx(chance)


def several(count: int, *columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same activations, labels and parts in several images."""
    maps, labels, parts = peaks(*columns), LABELS, PARTS
    return (
        maps.expand(count, -1, -1, -1),
        labels.expand(count, -1, -1),
        parts.expand(count, -1, -1),
    )


def test_the_metric_agrees_with_the_function_and_counts_the_active_prototypes() -> None:
    # Prototype 1 is active on each part in half of the images.
    metric = PartConsistency(TABLE, PART_CLASS)
    active = PartConsistency(TABLE, PART_CLASS, active=torch.tensor([2, 1]))
    for each in (metric, active):
        each.update(*several(12, 0, 4, 8))
        each.update(*several(12, 0, 0, 8))
    figures = metric.compute()
    assert float(figures["consistent_prototypes"]) == pytest.approx(2 / 3)
    # The maps of other images hit as often.
    assert float(figures["consistent_by_chance"]) == pytest.approx(2 / 3)
    assert float(figures["part_consistency"]) == 0
    assert float(active.compute()["consistent_prototypes"]) == pytest.approx(1 / 2)
    found = active.per_prototype()
    assert found.part.tolist() == [1, 3]
    torch.testing.assert_close(found.rate, torch.tensor([0.5, 1]).double())
    assert found.p.tolist()[1] == 1
    assert metric.higher_is_better is True


def test_unseen_prototypes_are_named_by_their_indices() -> None:
    metric = PartConsistency(TABLE, PART_CLASS, active=torch.tensor([0, 2]))
    maps, labels, parts = several(10, 0, 4, 8)
    metric.update(maps, labels.clamp_max(1), parts)
    assert metric.per_prototype().unseen.tolist() == [2]
    assert float(metric.compute()["consistent_prototypes"]) == 1


def test_images_without_parts_are_undefined() -> None:
    metric = PartConsistency(TABLE, PART_CLASS, min_images=1)
    maps, labels, _ = several(2, 0, 4, 8)
    metric.update(maps, labels, torch.cat([PARTS, PARTS * 0]))
    assert metric.compute()["consistent_prototypes"].undefined == 1


def test_images_may_differ_in_size_and_come_in_any_order() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for index in range(12):
        height, width = 4 + index % 3, 6 + index % 2
        maps = torch.rand(1, 3, 2 + index % 2, 3, generator=generator)
        labels = torch.randint(3, (1, height, width), generator=generator)
        parts = torch.randint(4, (1, height, width), generator=generator)
        batches.append((maps, labels, parts, [index]))
    forward, backward = (PartConsistency(TABLE, PART_CLASS, min_images=1) for _ in range(2))
    for batch in batches:
        forward.update(*batch)
    for batch in [*reversed(batches), batches[3]]:
        backward.update(*batch)
    assert repr(forward.compute()) == repr(backward.compute())
    found = forward.per_prototype()
    assert torch.equal(found.p, backward.per_prototype().p)
    assert ((found.p > 1e-3) & (found.p < 1)).any()


def test_equal_activations_are_ordered_anew_in_each_image() -> None:
    metric = PartConsistency(TABLE, PART_CLASS)
    maps, labels, parts = several(30, 0, 4, 8)
    metric.update(maps * 0, labels, parts)
    # Two of six pixels, and one of four, are active.
    rate = metric.per_prototype().rate
    assert ((rate > 0) & (rate < 0.8)).all()
