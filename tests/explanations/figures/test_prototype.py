from dataclasses import replace

import numpy as np
import pytest

from protoxai import prototype_figure
from protoxai.explanations.figures.marks import NO_PICTURE
from protoxai.explanations.figures.prototype import prototype_facts
from tests.explanations.cases import block_model
from tests.explanations.figures.reading import (
    check_layout,
    drawn,
    frames,
    pictures,
    pixels,
    texts,
    words,
)


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_a_prototype_alone(width: float) -> None:
    prototype = block_model().group(3).prototypes[1]
    figure = prototype_figure(prototype, width=width)
    plain, marked = pictures(figure)
    assert prototype.patch is not None
    assert pixels(plain).shape == pixels(marked).shape == prototype.patch.shape
    assert frames(plain) == []
    assert frames(marked) == [prototype.box, prototype.cell]
    assert "sky, prototype 1" in texts(figure)
    assert "scale 1" in texts(figure)
    assert "training image 0" in texts(figure)
    assert figure.get_figwidth() == pytest.approx(width)
    assert drawn(figure).std() > 0.05
    check_layout(figure)


def test_without_a_picture() -> None:
    figure = prototype_figure(block_model(projected=False).prototypes[0])
    assert NO_PICTURE in texts(figure)
    assert "not projected" in words(figure)
    assert "frame" not in words(figure)
    check_layout(figure)


def test_hostile_names() -> None:
    prototype = block_model().prototypes[0]
    assert prototype.provenance is not None
    source = replace(prototype.provenance, image_id="../../$x_{<img onerror=1>" + "a" * 300)
    figure = prototype_figure(replace(prototype, class_name="<i>\U0001f600א$", provenance=source))
    assert drawn(figure).std() > 0.05
    check_layout(figure)


def test_facts() -> None:
    prototype = block_model().prototypes[0]
    grouped = replace(prototype, group_weights={4: 0.25, 5: 0.5}, first_group=3)
    assert "weight 0.25 in group 2, 0.50 in group 3" in prototype_facts(grouped)
    assert "used by no group" in prototype_facts(replace(prototype, active=False))
    assert np.asarray(prototype.patch).dtype == np.uint8
