import math

import pytest
import torch

from protoxai.explanations import ReceptiveField
from protoxai.explanations.figures import receptive_field_figure
from tests.explanations.figures.reading import check_layout, drawn, frames, pictures, pixels, words


def field(kept: float = 0.18) -> ReceptiveField:
    region = torch.zeros(20, 30, dtype=torch.bool)
    region[4:9, 6:16] = True
    shares = torch.rand(20, 30, generator=torch.Generator().manual_seed(0)) + region
    shares = shares / shares.sum()
    inside = float(shares[region].sum())
    return ReceptiveField(7, (1, 2), torch.rand(3, 20, 30), shares, region, 2.0, inside, kept)


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_the_region_stands_beside_what_it_depends_on(width: float) -> None:
    figure = receptive_field_figure(field(), width=width)
    image, shares = pictures(figure)
    assert frames(image) == frames(shares) == [(4, 6, 9, 16)]
    assert pixels(shares).shape == pixels(image).shape == (20, 30, 3)
    inside = pixels(shares)[4:9, 6:16].mean()
    assert inside > pixels(shares)[10:].mean()
    assert "18% of the activation survives" in words(figure)
    assert drawn(figure).std() > 0.05
    check_layout(figure)


def test_a_prototype_that_is_not_active() -> None:
    figure = receptive_field_figure(field(math.nan))
    assert "not active" in words(figure)
    assert "nan" not in words(figure)
