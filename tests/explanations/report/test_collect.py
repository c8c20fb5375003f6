import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from protoxai import PrototypeTable, ScaleProtoSeg, explain
from protoxai.explanations.report import collect as collect_module
from protoxai.explanations.report.collect import collect, decimals, known_labels, rgb_pixels
from protoxai.explanations.report.page import inspected_image, page_classes
from protoxai.explanations.report.payload import PageData
from tests.explanations.report.cases import LabelledImages, image_of, report_model


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def collected(model: ScaleProtoSeg, count: int = 2, **options: Any) -> PageData:
    data = LabelledImages(count)
    images = [inspected_image(explain(model, image_of(data, i)), f"i{i}") for i in range(count)]
    options = {"patches": True, "inactive": False, **options}
    classes = page_classes(data.class_names, data.palette)
    return collect(model.head, model.prototypes, images, classes, **options)


def test_units_are_the_heads(any_stage: int) -> None:
    model = report_model(any_stage)
    page = collected(model)
    assert page.stage == any_stage
    assert len(page.units) == model.head.weight.shape[1]
    assert [unit.class_index for unit in page.units] == model.head.unit_class.tolist()
    weight = floats(page.last_layer).reshape(3, -1)
    assert np.array_equal(weight, model.head.weight.detach().numpy())
    for number, unit in enumerate(page.units):
        indices = [page.prototypes[place].index for place in unit.members]
        if any_stage == 1:
            assert (indices, unit.weights) == ([number], [1.0])
            continue
        row = model.head.group_weights()[number]
        assert indices == row.nonzero().flatten().tolist()
        assert unit.weights == row[row > 0].tolist()


def test_units_are_numbered_within_their_class() -> None:
    page = collected(report_model(2))
    assert [unit.number for unit in page.units] == [1, 2, 1, 2, 1, 2]


def scores_of(page: PageData, image: int) -> np.ndarray:
    """The scores as a reader of the page computes them."""
    maps = page.images[image].maps
    steps = np.frombuffer(base64.b64decode(maps.values), f"<u{maps.bits // 8}")
    steps = steps.reshape(len(page.prototypes), -1)
    activations = np.array(maps.low)[:, None] + np.array(maps.step)[:, None] * steps
    units = []
    for unit in page.units:
        total = np.array(unit.weights) @ activations[unit.members]
        units.append(np.expm1(total) if page.stage == 2 else total)
    weight = floats(page.last_layer).reshape(len(page.classes), -1).astype(float)
    scores = np.array(page.base)[:, None] + weight @ np.array(units)
    return scores.reshape(-1, maps.rows, maps.columns)


def test_scores_of_the_page_are_the_models_to_the_stated_error(any_stage: int) -> None:
    model = report_model(any_stage)
    page = collected(model)
    errors = []
    for number in range(2):
        expected = explain(model, image_of(LabelledImages(), number)).output.logits[0]
        errors.append(np.abs(scores_of(page, number) - expected.numpy()).max())
    assert max(errors) == pytest.approx(page.logit_error, rel=0.01, abs=1e-5)
    assert 0 < page.logit_error < 0.005
    assert page.decimals == 2


@pytest.mark.parametrize("last_layer", ["dense", "tied"])
@pytest.mark.parametrize("stage", [1, 2])
def test_classes_without_prototypes_and_tied_layers_have_their_scores(
    stage: int, last_layer: str
) -> None:
    table = PrototypeTable([0, 2, 0, 2], [1, 0, 0, 1], num_classes=3, num_scales=2)
    trunk, options = nn.Conv2d(3, 8, 4, stride=4), {"prototype_dim": 6, "atrous_rates": (1, 2)}
    model = ScaleProtoSeg(trunk, 3, table=table, last_layer=last_layer, **options).eval()
    if stage == 2:
        dense = model.group(2).head.group_weights().detach()
        dense[1] = 0
        model.head.set_group_weights(dense)
    model.head.weight.data += torch.rand(model.head.weight.shape)
    expected = explain(model, image_of(LabelledImages(), 1)).output.logits[0]
    page = collected(model)
    error = np.abs(scores_of(page, 1) - expected.detach().numpy()).max()
    assert error <= page.logit_error + 1e-5
    assert page.logit_error < 0.005


def test_large_scores_have_the_bits_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    model = report_model(2)
    # The first image is the one that the prototypes are from, so scores are in the thousands.
    page = collected(model)
    assert max(abs(scores_of(page, 0).flatten())) > 1000
    assert page.images[0].maps.bits == 32
    values = len(page.prototypes) * sum(i.maps.rows * i.maps.columns for i in page.images)
    for space, bits in ((4 * values, 32), (4 * values - 1, 16), (2 * values - 1, 8), (1, 8)):
        monkeypatch.setattr(collect_module, "MOST_BYTES", space)
        small = collected(model)
        assert small.images[0].maps.bits == bits
        assert (small.decimals == 2) == (bits == 32)
        assert (small.logit_error < 0.005) == (bits == 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_page_leaves_the_explanation_as_it_is(dtype: torch.dtype) -> None:
    explanation = explain(report_model(2).to(dtype), image_of(LabelledImages(), 0).to(dtype))
    before = explanation.output.activations.clone()
    explanation.to_html()
    assert torch.equal(explanation.output.activations, before)


def test_16_bits_are_enough_for_usual_scores() -> None:
    model = report_model(1)
    assert {image.maps.bits for image in collected(model).images} == {16}


def test_prototypes_that_are_not_used_are_left_out_or_listed_last() -> None:
    model = report_model(2)
    dense = model.head.group_weights().detach()
    dense[:, 1] = 0
    model.head.set_group_weights(dense)
    short, full = collected(model), collected(model, inactive=True)
    unused = [prototype.index for prototype in model.prototypes if not prototype.active]
    assert 1 in unused
    assert [prototype.index for prototype in full.prototypes[-len(unused) :]] == unused
    assert full.prototypes[: len(short.prototypes)] == short.prototypes
    assert (short.left_out, full.left_out) == (len(unused), 0)
    assert short.images == full.images


def test_pictures_are_those_of_the_prototypes() -> None:
    model = report_model(2)
    page = collected(model)
    assert page.pictures
    for entry in page.prototypes:
        known = model.prototypes[entry.index]
        assert (entry.class_index, entry.scale) == (known.class_index, known.scale)
        assert entry.image_id == known.provenance.image_id
        assert entry.picture.size == known.patch.shape[:2]
        assert (entry.picture.box, entry.picture.cell) == (known.box, known.cell)
    without = collected(model, patches=False)
    assert not without.pictures
    assert {entry.picture for entry in without.prototypes} == {None}
    model.patches = None
    assert not collected(model).pictures


def test_labels_that_are_no_class_are_ignored() -> None:
    labels = torch.tensor([[0, 2, 3, 255, -1]])
    assert known_labels(labels, 3).tolist() == [[0, 2, -1, -1, -1]]


def test_images_are_shown_as_bytes() -> None:
    image = torch.tensor([0.0, 0.5, 2.0]).view(3, 1, 1)
    assert rgb_pixels(image).tolist() == [[[0, 128, 255]]]
    assert rgb_pixels(torch.full((3, 1, 1), 7, dtype=torch.uint8)).tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize(
    ("error", "digits"), [(0.0, 2), (0.0049, 2), (0.005, 1), (0.049, 1), (0.05, 0), (9.0, 0)]
)
def test_decimals_are_those_that_are_right(error: float, digits: int) -> None:
    assert decimals(error) == digits
