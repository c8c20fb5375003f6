import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from protoxai import PrototypeTable, explain
from protoxai.explanations import (
    Explanation,
    GroupEvidence,
    PrototypeEvidence,
    RegionExplanation,
)
from protoxai.explanations.figures import SCALE_COLOURS, explanation_figure
from protoxai.prototypes.provenance import Box, Provenance
from tests.explanations.cases import block_model, blocks, source_image

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def picture(figure: Figure) -> np.ndarray:
    """The figure as it would be saved, (H, W, 4)."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    file.seek(0)
    return imread(file)


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]


def notes(figure: Figure) -> list[str]:
    """What is written inside of the panels."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def headings(figure: Figure) -> list[str]:
    return [
        text.get_text() for row in figure.subfigs for cell in row.subfigs for text in cell.texts
    ]


def explained(grouped: bool, *, projected: bool = True) -> Explanation:
    model = block_model(projected=projected)
    if grouped:
        model.group(3).double()
    return explain(model, blocks()[0].double())


@pytest.mark.parametrize("projected", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_panels(grouped: bool, projected: bool) -> None:
    explanation = explained(grouped, projected=projected)
    figure = explanation_figure(explanation, source_image, regions=2, groups=2, prototypes=3)
    shown = explanation.regions[:2]
    groups = sum(min(len(region.groups), 2) for region in shown)
    assert len(figure.axes) == 2 + len(shown) + groups * 3
    members = [m for r in shown for g in r.groups[:2] for m in g.prototypes[:3]]
    expected = [f"scale {m.scale + 1}\n{m.evidence:+.2f}" for m in members]
    assert [title for title in titles(figure) if title.startswith("scale ")] == expected
    assert notes(figure).count("no source") == (0 if projected else len(members))
    image = picture(figure)
    assert image.shape[0] > 100
    assert image.shape[1] > 100
    assert image[..., :3].std() > 0.05


def test_classes_logits_and_groups_are_named() -> None:
    explanation = explained(grouped=True)
    figure = explanation_figure(explanation, source_image)
    assert titles(figure)[:2] == ["Image", "Prediction"]
    for region in explanation.regions:
        assert any(title.startswith(region.class_name) for title in titles(figure))
        written = [*titles(figure), *notes(figure)]
        assert any(f"logit {region.logit:.1f}" in text for text in written)
        for group in region.groups:
            start = f"Group {group.group}: {group.evidence:+.2f}"
            assert any(text.startswith(start) for text in headings(figure))


def test_what_is_not_shown_is_counted() -> None:
    explanation = explained(grouped=True)
    group = max((g for r in explanation.regions for g in r.groups), key=lambda g: len(g.prototypes))
    hidden = len(group.prototypes) - 1
    assert hidden > 0
    figure = explanation_figure(explanation, source_image, prototypes=1)
    heading = f"Group {group.group}: {group.evidence:+.2f}, {hidden} more"
    assert heading in headings(figure)


def test_the_palette_colours_the_prediction() -> None:
    explanation = explained(grouped=False)
    shown = explanation_figure(explanation, source_image, palette=PALETTE).axes[1]
    colours = np.asarray(shown.images[0].get_array())
    image = explanation.image.permute(1, 2, 0).double().numpy()
    expected = 0.35 * image + 0.65 * np.asarray(PALETTE)[explanation.prediction.numpy()] / 255
    np.testing.assert_allclose(colours, expected, atol=1e-6)


def test_each_prototype_shows_its_source_with_the_patch_framed() -> None:
    explanation = explained(grouped=False)
    figure = explanation_figure(explanation, source_image, groups=3)
    members = [g.prototypes[0] for r in explanation.regions for g in r.groups]
    panels = [axes for axes in figure.axes if axes.get_title().startswith("scale ")]
    assert len(panels) == len(members)
    for axes, member in zip(panels, members, strict=True):
        assert axes.patches[-1].get_edgecolor()[:3] == pytest.approx(
            tuple(int(SCALE_COLOURS[member.scale][i : i + 2], 16) / 255 for i in (1, 3, 5))
        )
        assert box_of(axes.patches[-1]) == member.provenance.patch
        assert box_of(axes.patches[0]) == member.provenance.active_region


def box_of(frame: Rectangle) -> Box:
    left, top = frame.get_xy()
    return (top, left, top + frame.get_height(), left + frame.get_width())


def lone_prototype(patch: Box, active_region: Box | None) -> Explanation:
    """An explanation of one region, by one prototype with that source."""
    source = Provenance(True, 0, "a", 0, 0, (8, 12), 0.0, patch, active_region)
    member = PrototypeEvidence(0, 0, 1.0, 1.0, 1.0, source)
    mask = torch.zeros(32, 48, dtype=torch.bool)
    mask[:16] = True
    region = RegionExplanation(0, "sky", mask, 1.0, 0.0, (GroupEvidence(0, 1.0, (member,)),), 0.0)
    explanation = replace(explained(grouped=False), prediction=(~mask).long())
    # Regions are computed when they are first asked for.
    vars(explanation)["regions"] = (region,)
    return explanation


@pytest.mark.parametrize(
    ("patch", "active_region"),
    [
        ((0, 0, 5, 5), (0, 0, 5, 5)),
        ((28, 44, 32, 48), None),
        ((12, 20, 16, 24), (10, 10, 20, 30)),
        ((16, 44, 20, 48), (0, 0, 32, 48)),
        ((0, 0, 4, 4), (0, 0, 4, 48)),
    ],
)
def test_the_patch_is_always_in_view(patch: Box, active_region: Box | None) -> None:
    explanation = lone_prototype(patch, active_region)
    axes = explanation_figure(explanation, source_image, prototypes=1).axes[-1]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert 0 <= left <= patch[1] < patch[3] <= right <= 48
    assert 0 <= top <= patch[0] < patch[2] <= bottom <= 32
    assert axes.images[0].get_array().shape[:2] == (bottom - top, right - left)


@pytest.mark.parametrize("grouped", [True, False])
def test_an_image_of_one_class_alone(grouped: bool) -> None:
    model = block_model()
    if grouped:
        model.group().double()
    model.head.weight.data[0] += 9
    explanation = explain(model, blocks()[0].double())
    assert len(explanation.regions) == 1
    assert picture(explanation_figure(explanation, source_image)).std() > 0.05


def test_a_class_without_prototypes() -> None:
    table = PrototypeTable([0, 2], [0, 1], num_classes=3, num_scales=2)
    model = block_model(table, projected=False)
    model.head.weight.data[1] = 5
    explanation = explain(model, blocks()[0].double())
    assert explanation.regions[0].groups == ()
    assert len(explanation_figure(explanation, source_image).axes) == 3


def test_names_of_classes_are_drawn_as_they_are() -> None:
    explanation = explained(grouped=True)
    names = ("$x_1$ and $y$", "Straße^2", "道_路")
    figure = explanation_figure(replace(explanation, class_names=names), source_image)
    # Warnings are errors.
    assert picture(figure).std() > 0.05
    shown = [names[region.class_index].replace("道_路", "□_□") for region in explanation.regions]
    [legend] = [legend for part in figure.subfigs for legend in part.legends]
    assert [text.get_text() for text in legend.get_texts()] == shown
    assert not any(text.get_parse_math() for text in legend.get_texts())
    headings = [axes._left_title for axes in figure.axes]
    assert {t.get_text() for t in headings if not t.get_parse_math()} == set(shown)


def test_no_figure_is_left_behind() -> None:
    # A figure that pyplot knows is never freed, and pyplot would choose a window's backend.
    program = (
        "import sys\n"
        "from tests.explanations.cases import block_model, blocks, source_image\n"
        "from protoxai import explain\n"
        "from protoxai.explanations.figures import explanation_figure\n"
        "figure = explanation_figure(explain(block_model(), blocks()[0].double()), source_image)\n"
        "figure.savefig(sys.argv[1], dpi=20)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, "/dev/null"], check=True)
