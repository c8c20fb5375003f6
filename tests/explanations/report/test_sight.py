"""How far prototypes see, as a report says it."""

import numpy as np
import torch
from torch import nn

from protoxai import ScaleProtoSeg, explain
from protoxai.explanations import ReceptiveField, receptive_field
from protoxai.explanations.report.sight import MOST, SAMPLES, framed, measured_sight
from tests.explanations.report.cases import LabelledImages, report_model

IMAGES = [LabelledImages()[index]["image"] for index in range(3)]


def test_the_strongest_prototypes_are_measured_each_once() -> None:
    model, images = report_model(2), IMAGES
    sight = measured_sight(model, images * 3)
    numbers = [example.prototype for example in sight.examples]
    assert 1 <= len(set(numbers)) == len(numbers) <= MOST
    region = explain(model, images[0]).regions[0]
    totals: dict[int, float] = {}
    for group in region.groups:
        for member in group.prototypes:
            totals[member.prototype] = totals.get(member.prototype, 0) + member.evidence
    first = sight.examples[0]
    assert totals[first.prototype] == max(totals.values())
    assert first.class_name == region.class_name
    field = receptive_field(model, images[0], first.prototype, samples=SAMPLES)
    assert (first.kept, first.inside) == (f"{field.kept:.0%}", f"{field.inside:.0%}")


def test_the_summary_has_the_mean_and_the_ends() -> None:
    sight = measured_sight(report_model(2), IMAGES)
    shares = [int(example.kept.rstrip("%")) for example in sight.examples]
    assert len(shares) > 1
    assert f"from {min(shares)}% to {max(shares)}%." in sight.summary
    mean = int(sight.summary.split("% of the activation")[0].split()[-1])
    assert abs(mean - sum(shares) / len(shares)) <= 1


def test_a_prototype_that_sees_no_farther_than_its_patch_keeps_all() -> None:
    torch.manual_seed(0)
    model = ScaleProtoSeg(
        nn.Conv2d(3, 8, 8, stride=8), 2, scales=Single(), prototypes_per_scale=1, prototype_dim=4
    )
    sight = measured_sight(model, [torch.randn(3, 48, 48)])
    assert sight.examples[0].kept == "100%"
    assert sight.summary.endswith("100% of the activation survives.")


def test_the_frame_is_around_the_region() -> None:
    region = torch.zeros(20, 30, dtype=torch.bool)
    region[5:9, 10:16] = True
    grey = torch.full((3, 20, 30), 0.5)
    field = ReceptiveField(0, (0, 0), grey, grey[0], region, 1.0, 0.5, 0.5)
    drawn = framed(np.full((20, 30, 3), 0.5), field)[..., 0]
    expected = np.full((20, 30), 128)
    expected[3:11, 8:18], expected[4:10, 9:17], expected[5:9, 10:16] = 0, 255, 0
    expected[6:8, 11:15] = 128
    assert (drawn == expected).all()


def test_nothing_to_measure_is_nothing() -> None:
    assert measured_sight(report_model(1), []) is None


class Single(nn.Module):
    """A single scale: the features as they are, so that a cell sees its own pixels alone."""

    num_scales, dim = 1, 4

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return maps[0][:, None, :4]
