import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from protoxai import PrototypeTable, ScaleProtoSeg, explain
from protoxai.explanations import Explanation
from protoxai.explanations.figures import explanation_figure
from protoxai.explanations.figures.marks import NO_PICTURE, signed, unsigned
from protoxai.explanations.figures.reasons import reasons
from tests.explanations.cases import block_model, blocks
from tests.explanations.figures.reading import (
    check_layout,
    drawn,
    frames,
    pictures,
    pixels,
    texts,
    words,
)

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def explained(grouped: bool = True, *, projected: bool = True, labels: bool = False) -> Explanation:
    model = block_model(projected=projected)
    if grouped:
        model.group(3).double()
    image, truth = blocks()
    explanation: Explanation = explain(model, image.double(), truth if labels else None)
    return explanation


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_pictures(grouped: bool, projected: bool, labels: bool) -> None:
    explanation = explained(grouped, projected=projected, labels=labels)
    figure = explanation_figure(explanation, regions=2, prototypes=2)
    shown = [reasons(explanation, region).contributions[:2] for region in explanation.regions[:2]]
    pairs = sum(map(len, shown))
    assert len(pictures(figure)) == 2 + labels + 2 + pairs * (2 if projected else 1)
    assert words(figure).count(NO_PICTURE) == (0 if projected else pairs)
    assert ("Truth" in texts(figure)) == labels
    assert drawn(figure)[..., :3].std() > 0.05
    check_layout(figure)


def test_a_region_is_contrasted_with_the_runner_up_and_the_sum_is_complete() -> None:
    explanation = explained()
    figure = explanation_figure(explanation, prototypes=2, width=12)
    for region in explanation.regions:
        contrast = explanation.contrast(region.class_index, region=region.region)
        title = f"{region.class_name} rather than {contrast.other_name}"
        assert f"{title}: {signed(contrast.difference)}" in texts(figure)
        values = [each.difference for each in contrast.prototypes]
        shown = " ".join(map(signed, values[:2]))
        rest = f" {signed(sum(values[2:]))} ({len(values) - 2} more)"
        line = f"= {shown}{rest} {signed(contrast.baseline)} (base)"
        assert line in texts(figure)
        assert sum(values) + contrast.baseline == pytest.approx(contrast.difference)
        own = sum(group.evidence for group in region.groups)
        terms = f"{unsigned(region.baseline)} base {signed(own)} own"
        score = f"score {unsigned(region.logit)} = {terms} {signed(region.other_evidence)} others"
        assert score in words(figure)


def test_a_prototype_of_three_groups_is_shown_once() -> None:
    explanation = explained()
    region = explanation.regions[0]
    figure = explanation_figure(explanation, regions=1, prototypes=12)
    for each in explanation.contrast(region.class_index, region=region.region).prototypes:
        names = [
            text for text in texts(figure) if text.split(" of ")[0] == f"prototype {each.prototype}"
        ]
        assert len(names) == 1
    members = [p.prototype for group in region.groups for p in group.prototypes]
    assert len(members) > len(set(members))
    assert any("groups 1, 2 and 3" in text for text in texts(figure))


def test_patch_and_image_stand_side_by_side_with_their_frames() -> None:
    explanation = explained(grouped=False)
    figure = explanation_figure(explanation, regions=1, prototypes=1)
    region = explanation.regions[0]
    [part] = reasons(explanation, region).contributions[:1]
    prototype = explanation.prototypes[part.prototype]
    _, _, where, patch, here = pictures(figure)
    assert prototype.patch is not None
    assert pixels(patch).shape == prototype.patch.shape
    assert frames(patch) == [prototype.box]
    top, left, bottom, right = explanation.box(part.prototype, region.region)
    assert frames(where) == [(top, left, bottom, right)]
    assert [text.get_text() for text in where.texts] == ["1"]
    [(inner_top, inner_left, inner_bottom, inner_right)] = frames(here)
    assert (inner_bottom - inner_top, inner_right - inner_left) == (bottom - top, right - left)
    inside = pixels(here)[inner_top:inner_bottom, inner_left:inner_right]
    assert inside.shape[:2] == (bottom - top, right - left)
    one, other = patch.get_position(), here.get_position()
    assert one.x1 < other.x0
    assert one.y1 == pytest.approx(other.y1)
    # A patch is a good part of an inch.
    assert max(one.width * 7, one.height * figure.get_figheight()) > 0.8


def test_the_palette_colours_prediction_and_truth() -> None:
    explanation = explained(labels=True)
    assert explanation.labels is not None
    explanation.labels[0, 0] = 255
    _, predicted, truth = pictures(explanation_figure(explanation, palette=PALETTE))[:3]
    image = explanation.image.permute(1, 2, 0).double().numpy()
    colours = np.asarray(PALETTE) / 255
    expected = 0.35 * image + 0.65 * colours[explanation.prediction.numpy()]
    np.testing.assert_allclose(pixels(predicted), expected, atol=1e-6)
    tints = colours[explanation.labels.clamp_max(2).numpy()]
    tints[0, 0] = 1
    np.testing.assert_allclose(pixels(truth), 0.35 * image + 0.65 * tints, atol=1e-6)


@pytest.mark.parametrize("grouped", [True, False])
def test_an_image_of_one_class_alone(grouped: bool) -> None:
    model = block_model()
    if grouped:
        model.group().double()
    model.head.weight.data[0] += 9
    explanation = explain(model, blocks()[0].double())
    assert len(explanation.regions) == 1
    figure = explanation_figure(explanation)
    assert drawn(figure).std() > 0.05
    check_layout(figure)


def test_a_model_of_one_class_has_no_contrast() -> None:
    model = ScaleProtoSeg(nn.Conv2d(3, 8, 4, stride=4), 1, prototype_dim=4, class_names=["sky"])
    explanation = explain(model.eval(), blocks()[0])
    [region] = explanation.regions
    why = reasons(explanation, region)
    total = why.base + sum(part.value for part in why.contributions)
    assert why.other is None
    assert total == pytest.approx(region.logit)
    assert "lead" not in words(explanation_figure(explanation))


def test_a_class_without_prototypes() -> None:
    model = block_model(PrototypeTable([0, 2], [0, 1], 3, 2), projected=False)
    model.head.weight.data[1] = 5
    explanation = explain(model, blocks()[0].double())
    assert explanation.regions[0].groups == ()
    check_layout(explanation_figure(explanation))


@pytest.mark.parametrize("width", [3.4, 7.0, 12.0])
def test_hostile_names_are_drawn_as_they_are(width: float) -> None:
    model = block_model()
    names = ("$x_{ <script>alert(1)</script>", "Straße " * 60, "道\U0001f600אב")
    model.class_names = names
    model.group(3).double()
    figure = explanation_figure(explain(model, blocks()[0].double()), width=width)
    # Warnings are errors.
    assert drawn(figure).std() > 0.05
    assert not any(text.get_parse_math() for text in figure.texts)
    assert any(text.startswith("$x_{") for text in texts(figure))
    assert any(text.startswith("Straße") and text.endswith("…") for text in texts(figure))
    assert figure.get_figwidth() == pytest.approx(width)
    check_layout(figure)


def test_the_legend_explains_the_words() -> None:
    legend = words(explanation_figure(explained()))
    for word in ("Frame:", "light:", "Base:", "Own:", "Others:", "lead"):
        assert word in legend


@pytest.mark.slow
def test_no_figure_is_left_behind() -> None:
    # A figure that pyplot knows is never freed, and pyplot would choose a window's backend.
    program = (
        "import sys\n"
        "from tests.explanations.cases import block_model, blocks\n"
        "from protoxai import explain\n"
        "explanation = explain(block_model(), blocks()[0].double())\n"
        "assert 'matplotlib' not in sys.modules\n"
        "explanation.figure().savefig(sys.argv[1], dpi=20)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, "/dev/null"], check=True)


def test_labels_of_equal_boxes_do_not_cover_each_other() -> None:
    explanation = explained(grouped=False)
    figure = explanation_figure(explanation, regions=1, prototypes=5)
    where = pictures(figure)[2]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in where.texts]
    assert len(boxes) == 5
    for position, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:position])


def test_bad_palette() -> None:
    with pytest.raises(ValueError, match="palette"):
        explanation_figure(explained(), palette=PALETTE[:2])


def test_replaced_names_are_used() -> None:
    explanation = replace(explained(), class_names=("a", "b", "c"))
    assert torch.equal(explanation.prediction.unique(), torch.arange(3))
    legend = texts(explanation_figure(explanation))
    assert {"a", "b", "c"} <= set(legend)
